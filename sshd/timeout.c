/* What ends when nothing happens: channels (ChannelTimeout), a connection without one
 * (UnusedConnectionTimeout), a client that does not answer (ClientAliveInterval). */
#include "user_session.h"

#include <nacre/log.h>

#include <string.h>

/* ChannelTimeout ------------------------------------------------------------------------------ */

static int
seconds_for(const struct nacre_sshd_config *config, const char *type)
{
	int seconds = nacre_sshd_config_channel_timeout(config, nacre_span_of(type));

	/* All kinds of session under one name. */
	if (seconds == 0 && strncmp(type, "session:", 8) == 0)
		seconds = nacre_sshd_config_channel_timeout(config, nacre_span_of("session"));
	return seconds;
}

void
timeout_begin(struct user_session *user)
{
	user->unused_since = user->next_idle_check = UINT64_MAX;
	user->idle_limit = (uint64_t)seconds_for(user->config, "global") * 1000;
	user->last_active = user->now;
}

static void
check_by(struct user_session *user, uint64_t when)
{
	if (when < user->next_idle_check)
		user->next_idle_check = when;
}

void
timeout_set(struct channel *channel, const char *type)
{
	struct user_session *user = channel->user;

	channel->idle_limit = (uint64_t)seconds_for(user->config, type) * 1000;
	timeout_reset(channel);
	if (channel->idle_limit > 0)
		check_by(user, user->now + channel->idle_limit);
	if (user->idle_limit > 0)
		check_by(user, user->now + user->idle_limit);
}

void
timeout_reset(struct channel *channel)
{
	channel->last_active = channel->user->last_active = channel->user->now;
}

/* When the channel has been idle for too long. */
static uint64_t
idle_deadline(const struct channel *channel)
{
	const struct user_session *user = channel->user;
	uint64_t own = UINT64_MAX, all = UINT64_MAX;

	/* One that is being opened begins to count when it is open. */
	if (channel->idle_limit > 0)
		own = (channel->opened ? channel->last_active : user->now) + channel->idle_limit;
	if (user->idle_limit > 0)
		all = (channel->opened ? user->last_active : user->now) + user->idle_limit;
	return own < all ? own : all;
}

static void
check_channels(struct user_session *user)
{
	if (user->now < user->next_idle_check)
		return;
	user->next_idle_check = UINT64_MAX;
	for (struct channel *channel = user->channels; channel != NULL; channel = channel->next) {
		if (channel->gone || channel->closing)
			continue;
		uint64_t deadline = idle_deadline(channel);
		if (deadline > user->now) {
			check_by(user, deadline);
			continue;
		}
		nacre_log(NACRE_LOG_INFO, "channel %u: closed for inactivity", channel->number);
		channel_close(channel);
	}
}

/* UnusedConnectionTimeout --------------------------------------------------------------------- */

static uint64_t
unused_deadline(const struct user_session *user)
{
	int seconds = user->config->unused_connection_timeout;

	return seconds <= 0 || user->unused_since == UINT64_MAX
		   ? UINT64_MAX
		   : user->unused_since + (uint64_t)seconds * 1000;
}

static bool
check_unused(struct user_session *user)
{
	const struct login *login = user->login;

	if (user->channels != NULL)
		user->unused_since = UINT64_MAX;
	else if (user->unused_since == UINT64_MAX)
		user->unused_since = user->now;
	if (user->now < unused_deadline(user))
		return true;
	nacre_log(NACRE_LOG_INFO, "terminating inactive connection from %s port %d user %s",
	    login->peer.address, login->peer.port, login->account.name);
	return false;
}

/* ClientAliveInterval ------------------------------------------------------------------------- */

static uint64_t
alive_deadline(const struct user_session *user)
{
	uint64_t interval = (uint64_t)user->config->client_alive_interval * 1000;

	return interval == 0 ? UINT64_MAX
			     : user->last_heard + interval * (uint64_t)(user->unanswered + 1);
}

static bool
check_alive(struct user_session *user)
{
	const struct login *login = user->login;

	if (user->now < alive_deadline(user))
		return true;
	if (user->config->client_alive_count_max > 0 &&
	    user->unanswered >= user->config->client_alive_count_max) {
		nacre_log(NACRE_LOG_INFO, "Timeout, client not responding from user %s %s port %d",
		    login->account.name, login->peer.address, login->peer.port);
		return false;
	}
	user->unanswered++;
	nacre_global_request(
	    user->session, "keepalive@openssh.com", true, (struct nacre_span){NULL, 0});
	return true;
}

/* The loop's ---------------------------------------------------------------------------------- */

static uint64_t
earlier(uint64_t one, uint64_t other)
{
	return one < other ? one : other;
}

uint64_t
timeout_next(const struct user_session *user)
{
	uint64_t next = earlier(user->next_idle_check, unused_deadline(user));

	next = earlier(next, alive_deadline(user));
	return user->acceptors_paused > 0 ? earlier(next, user->acceptors_paused) : next;
}

bool
timeout_check(struct user_session *user)
{
	if (user->acceptors_paused > 0 && user->now >= user->acceptors_paused)
		acceptor_resume(user);
	check_channels(user);
	return check_unused(user) && check_alive(user);
}
