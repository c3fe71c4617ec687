/*
 * ObscureKeystrokeTiming: keystrokes leave on a fixed beat, and for a while after the last of them
 * the beat goes on with messages of the same size that the server answers (ping@openssh.com), as it
 * answers keystrokes with an echo. Much at once is not typed, and leaves at once.
 */
#include "ssh/obscure.h"

#include <nacre/crypto.h>
#include <nacre/log.h>

/* After the last keystroke: so long at least, and up to so much longer, at random. */
#define CHAFF_LEAST_MS  1024u
#define CHAFF_RANDOM_MS 2048u
/* More than a person types between two beats. */
#define TYPED_AT_ONCE 256

/* With it a ping is as long as a channel's message with one byte. */
static const char chaff[] = "PING!";

static uint64_t
random_below(uint32_t bound)
{
	uint32_t value;

	nacre_random(&value, sizeof value);
	return value % bound;
}

static uint64_t
interval_of(const struct connection *connection)
{
	return (uint64_t)connection->plan->config->obscure_keystroke_interval;
}

static void
keystrokes_left(struct session_channel *own, uint64_t now)
{
	own->chaff_until = now + CHAFF_LEAST_MS + random_below(CHAFF_RANDOM_MS);
}

static void
beat(struct connection *connection, struct timer *timer)
{
	struct session_channel *const own = connection->own;
	const uint64_t now = nacre_clock_ms(), interval = interval_of(connection);

	if (own == NULL || !own->open)
		return;
	if (own->typed_start < own->typed_end) {
		session_send_typed(own);
		keystrokes_left(own, now);
	} else if (now < own->chaff_until) {
		nacre_session_ping(connection->session, nacre_span_of(chaff));
	} else {
		nacre_log(NACRE_LOG_DEBUG3, "obscure_keystroke_timing: stopping");
		own->beating = false;
		return;
	}
	/* Beats that were missed are not made up for. */
	own->next_beat += interval;
	if (own->next_beat <= now)
		own->next_beat = now + interval;
	connection_timer_set(connection, timer, own->next_beat);
}

static void
start(struct session_channel *own)
{
	static struct timer timer = {.due = beat};
	const uint64_t now = nacre_clock_ms();
	const uint64_t interval = interval_of(own->channel.connection);

	nacre_log(NACRE_LOG_DEBUG3, "obscure_keystroke_timing: starting: interval ~%llums",
	    (unsigned long long)interval);
	own->beating = true;
	keystrokes_left(own, now);
	/* Where in the beat the first one falls is not to be seen either. */
	own->next_beat = now + 1 + random_below((uint32_t)interval);
	connection_timer_set(own->channel.connection, &timer, own->next_beat);
}

void
obscure_begin(struct session_channel *own)
{
	const struct connection *const connection = own->channel.connection;

	own->obscures = connection->plan->config->obscure_keystroke_timing && own->raw &&
			interval_of(connection) > 0 &&
			nacre_session_peer_extension(connection->session, "ping@openssh.com", NULL);
}

bool
obscure_holds(struct session_channel *own)
{
	if (!own->obscures || own->typed_end - own->typed_start > TYPED_AT_ONCE)
		return false;
	if (!own->beating)
		start(own);
	return true;
}
