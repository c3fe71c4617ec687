/* two_sessions: a client and a server in one program, joined in memory; the server echoes. */
#include <err.h>
#include <nacre/key.h>
#include <nacre/poller.h>
#include <nacre/session.h>
#include <stdio.h>
#include <string.h>

static struct nacre_key *host_key, *user_key;
static struct nacre_buffer host_blob, user_blob;
static bool finished;

static void
answer_client(struct nacre_session *client, const struct nacre_event *event)
{
	struct nacre_buffer signature = {0};
	struct nacre_span data;
	uint32_t channel = event->channel;

	if (event->kind == NACRE_EVENT_HOST_KEY) {
		nacre_session_trust_host_key(client,
		    nacre_span_equal(event->u.host_key.blob, nacre_buffer_span(&host_blob)));
	} else if (event->kind == NACRE_EVENT_SIGN) {
		nacre_key_sign(user_key, NULL, event->u.sign.data, &signature);
		nacre_session_signature(client, nacre_buffer_span(&signature));
	} else if (event->kind == NACRE_EVENT_AUTHENTICATED) {
		nacre_channel_open_session(client, &channel);
	} else if (event->kind == NACRE_EVENT_CHANNEL_OPENED) {
		nacre_channel_write(
		    client, channel, NACRE_STREAM_DATA, nacre_span_of("hello, sessions\n"));
		nacre_channel_eof(client, channel);
	} else if (event->kind == NACRE_EVENT_CHANNEL_DATA) {
		data = nacre_channel_data(client, channel, NACRE_STREAM_DATA);
		fwrite(data.data, 1, data.length, stdout);
		nacre_channel_consume(client, channel, NACRE_STREAM_DATA, data.length);
	} else if (event->kind == NACRE_EVENT_CHANNEL_CLOSED) {
		finished = true;
	}
	nacre_buffer_free(&signature);
}

static void
answer_server(struct nacre_session *server, const struct nacre_event *event)
{
	struct nacre_buffer signature = {0};
	struct nacre_span data;

	if (event->kind == NACRE_EVENT_SIGN) {
		nacre_key_sign(host_key, NULL, event->u.sign.data, &signature);
		nacre_session_signature(server, nacre_buffer_span(&signature));
	} else if (event->kind == NACRE_EVENT_AUTH_REQUEST) {
		if (event->u.auth_request.has_signature &&
		    nacre_span_equal(event->u.auth_request.blob, nacre_buffer_span(&user_blob)) &&
		    nacre_key_verify(user_key, NULL, event->u.auth_request.signature,
			event->u.auth_request.signed_data) == 0)
			nacre_auth_accept(server);
		else
			nacre_auth_reject(server, "publickey", false);
	} else if (event->kind == NACRE_EVENT_CHANNEL_OPEN) {
		nacre_channel_accept(server, event->channel);
	} else if (event->kind == NACRE_EVENT_CHANNEL_DATA) {
		data = nacre_channel_data(server, event->channel, NACRE_STREAM_DATA);
		nacre_channel_consume(server, event->channel, NACRE_STREAM_DATA,
		    nacre_channel_write(server, event->channel, NACRE_STREAM_DATA, data));
	} else if (event->kind == NACRE_EVENT_CHANNEL_EOF) {
		nacre_channel_close(server, event->channel);
	}
	nacre_buffer_free(&signature);
}

/* What one side has to send is what the other receives. */
static void
move(struct nacre_session *from, struct nacre_session *to)
{
	struct nacre_span output = nacre_session_output(from);
	size_t room;
	uint8_t *bytes = nacre_session_input_room(to, &room);

	if (output.length == 0 || bytes == NULL)
		return;
	if (room > output.length)
		room = output.length;
	memcpy(bytes, output.data, room);
	nacre_session_received(to, room, nacre_clock_ms());
	nacre_session_sent(from, room);
}

int
main(void)
{
	struct nacre_session *client, *server;
	struct nacre_event event;

	if (nacre_key_generate(NACRE_KEY_ED25519, 0, &host_key) != 0 ||
	    nacre_key_generate(NACRE_KEY_ED25519, 0, &user_key) != 0)
		errx(1, "no keys");
	nacre_key_put_blob(host_key, false, &host_blob);
	nacre_key_put_blob(user_key, false, &user_blob);
	struct nacre_span host_keys[] = {nacre_buffer_span(&host_blob)};
	struct nacre_session_options client_options = {.role = NACRE_CLIENT};
	struct nacre_session_options server_options = {
	    .role = NACRE_SERVER, .host_keys = host_keys, .host_key_count = 1};
	if (nacre_session_new(&client_options, nacre_clock_ms(), &client) != 0 ||
	    nacre_session_new(&server_options, nacre_clock_ms(), &server) != 0)
		errx(1, "no sessions");
	nacre_auth_user(client, "somebody");
	nacre_auth_publickey(client, "ssh-ed25519", nacre_buffer_span(&user_blob), NULL);
	while (!finished) {
		while (nacre_session_next_event(client, nacre_clock_ms(), &event))
			answer_client(client, &event);
		move(client, server);
		while (nacre_session_next_event(server, nacre_clock_ms(), &event))
			answer_server(server, &event);
		move(server, client);
	}
	nacre_session_free(client);
	nacre_session_free(server);
	nacre_key_free(host_key);
	nacre_key_free(user_key);
	nacre_buffer_free(&host_blob);
	nacre_buffer_free(&user_blob);
}
