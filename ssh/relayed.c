/* Channels that are joined to a socket: what the kinds of forwarded connections share. */
#include "ssh/connection.h"

#include <nacre/log.h>

#include <stdlib.h>

void
relayed_begin(struct relayed *relayed, struct connection *connection,
    const struct channel_kind *kind, uint32_t number, int fd, bool opening)
{
	connection_add(connection, &relayed->channel, kind, number, opening);
	nacre_relay_init(&relayed->relay, connection_host(connection), number);
	relayed->channel.activity = &relayed->relay.last_active;
	if (fd >= 0)
		nacre_relay_add(&relayed->relay, 0, fd, true, true, NACRE_STREAM_DATA);
	if (!opening)
		nacre_relay_start(&relayed->relay);
}

struct relayed *
relayed_add(struct connection *connection, const struct channel_kind *kind, uint32_t number, int fd,
    bool opening)
{
	struct relayed *const relayed = calloc(1, sizeof *relayed);

	if (relayed == NULL)
		nacre_fatal("out of memory");
	relayed_begin(relayed, connection, kind, number, fd, opening);
	return relayed;
}

static struct nacre_relay *
relay_of(struct channel *channel)
{
	return &((struct relayed *)channel)->relay;
}

void
relayed_opened(struct channel *channel)
{
	nacre_relay_start(relay_of(channel));
}

void
relayed_data(struct channel *channel, enum nacre_stream stream)
{
	nacre_relay_received(relay_of(channel), stream);
}

void
relayed_room(struct channel *channel)
{
	nacre_relay_writable(relay_of(channel));
}

void
relayed_eof(struct channel *channel)
{
	nacre_relay_eof(relay_of(channel));
}

void
relayed_close(struct channel *channel)
{
	nacre_relay_close(relay_of(channel));
}

void
relayed_release(struct channel *channel)
{
	nacre_relay_release(relay_of(channel));
	free(channel);
}
