/* ChannelTimeout: channels over which nothing has gone for long are closed. */
#include "ssh/connection.h"

#include <nacre/log.h>

#define GLOBAL "global"

static uint64_t
limit_for(const struct connection *connection, const char *type)
{
	return (uint64_t)nacre_ssh_config_channel_timeout(
		   connection->plan->config, nacre_span_of(type)) *
	       1000;
}

static bool
counts(const struct channel *channel)
{
	return !channel->gone && !channel->opening && !channel->idle_closed;
}

/* When any of them last had something to do. */
static uint64_t
last_of_all(const struct connection *connection)
{
	uint64_t last = 0;

	for (const struct channel *at = connection->channels; at != NULL; at = at->next)
		if (counts(at) && *at->activity > last)
			last = *at->activity;
	return last;
}

static uint64_t
deadline_of(const struct channel *channel, uint64_t last, uint64_t global)
{
	const uint64_t own =
	    channel->idle_limit > 0 ? *channel->activity + channel->idle_limit : UINT64_MAX;
	const uint64_t all = global > 0 ? last + global : UINT64_MAX;

	return own < all ? own : all;
}

static void
close_idle(struct channel *channel)
{
	nacre_log(NACRE_LOG_INFO, "channel %u: closed for inactivity", channel->number);
	channel->idle_closed = true;
	if (channel->kind->close != NULL)
		channel->kind->close(channel);
	else
		nacre_channel_close(channel->connection->session, channel->number);
}

static void
check(struct connection *connection, struct timer *timer)
{
	const uint64_t now = nacre_clock_ms(), global = limit_for(connection, GLOBAL);
	const uint64_t last = last_of_all(connection);
	uint64_t next = UINT64_MAX;

	for (struct channel *at = connection->channels; at != NULL; at = at->next) {
		const uint64_t deadline = counts(at) ? deadline_of(at, last, global) : UINT64_MAX;

		if (deadline <= now)
			close_idle(at);
		else if (deadline < next)
			next = deadline;
	}
	if (next != UINT64_MAX)
		connection_timer_set(connection, timer, next);
}

void
idle_begin(struct channel *channel)
{
	static struct timer timer = {.due = check};
	struct connection *const connection = channel->connection;
	const char *const type =
	    channel->kind->timeout_type != NULL ? channel->kind->timeout_type : channel->kind->name;

	if (connection->plan->config->channel_timeout.count == 0)
		return;
	channel->last_active = nacre_clock_ms();
	channel->idle_limit = limit_for(connection, type);
	const uint64_t global = limit_for(connection, GLOBAL);
	const uint64_t limit =
	    channel->idle_limit == 0 || (global > 0 && global < channel->idle_limit)
		? global
		: channel->idle_limit;
	const uint64_t when = channel->last_active + limit;
	if (limit > 0 && (timer.when == 0 || when < timer.when))
		connection_timer_set(connection, &timer, when);
}
