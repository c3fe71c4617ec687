/* exec_client ADDRESS PORT USER KEYFILE SHA256:FINGERPRINT COMMAND: runs COMMAND over SSH. */
#include <arpa/inet.h>
#include <err.h>
#include <nacre/key.h>
#include <nacre/poller.h>
#include <nacre/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct nacre_key *key;
static int exit_status = 255;

static void
handle(struct nacre_session *session, const struct nacre_event *event, char **argv)
{
	struct nacre_buffer bytes = {0};
	struct nacre_key *host_key = NULL;
	struct nacre_span data;
	uint32_t channel = event->channel;

	if (event->kind == NACRE_EVENT_HOST_KEY) {
		if (nacre_key_from_blob(event->u.host_key.blob, &host_key) == 0)
			nacre_key_fingerprint(host_key, NACRE_FINGERPRINT_SHA256, &bytes);
		nacre_session_trust_host_key(
		    session, nacre_span_equals(nacre_buffer_span(&bytes), argv[5]));
		nacre_key_free(host_key);
	} else if (event->kind == NACRE_EVENT_SIGN) {
		nacre_key_sign(key, NULL, event->u.sign.data, &bytes);
		nacre_session_signature(session, nacre_buffer_span(&bytes));
	} else if (event->kind == NACRE_EVENT_AUTH_REPLY) {
		if (event->u.auth_reply.result != NACRE_AUTH_SUCCESS)
			errx(255, "%s: Permission denied", argv[3]);
	} else if (event->kind == NACRE_EVENT_AUTHENTICATED) {
		nacre_channel_open_session(session, &channel);
	} else if (event->kind == NACRE_EVENT_CHANNEL_OPENED) {
		nacre_channel_request_exec(session, channel, false, argv[6]);
		nacre_channel_eof(session, channel);
	} else if (event->kind == NACRE_EVENT_CHANNEL_DATA) {
		data = nacre_channel_data(session, channel, event->u.stream);
		fwrite(data.data, 1, data.length,
		    event->u.stream == NACRE_STREAM_DATA ? stdout : stderr);
		nacre_channel_consume(session, channel, event->u.stream, data.length);
	} else if (event->kind == NACRE_EVENT_CHANNEL_REQUEST) {
		if (event->u.channel_request.kind == NACRE_REQUEST_EXIT_STATUS)
			exit_status = (int)event->u.channel_request.exit_status;
	} else if (event->kind == NACRE_EVENT_CHANNEL_CLOSED) {
		exit(exit_status);
	} else if (event->kind == NACRE_EVENT_DISCONNECTED) {
		errx(255, "%.*s", (int)event->u.disconnected.text.length,
		    (const char *)event->u.disconnected.text.data);
	}
	nacre_buffer_free(&bytes);
}

int
main(int argc, char **argv)
{
	struct nacre_session_options options = {.role = NACRE_CLIENT, .software = "Example_1.0"};
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct nacre_session *session;
	struct nacre_buffer blob = {0};
	struct nacre_event event;
	uint8_t file[16384], *room;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	FILE *key_file;
	size_t length;
	ssize_t count;

	if (argc != 7 || (key_file = fopen(argv[4], "r")) == NULL)
		errx(255, "usage: exec_client ADDRESS PORT USER KEYFILE FINGERPRINT COMMAND");
	length = fread(file, 1, sizeof file, key_file);
	if (nacre_key_parse_private(
		(struct nacre_span){file, length}, (struct nacre_span){NULL, 0}, &key, NULL) != 0)
		errx(255, "%s: not a private key without passphrase", argv[4]);
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	inet_pton(AF_INET, argv[1], &address.sin_addr);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		err(255, "%s port %s", argv[1], argv[2]);
	if (nacre_session_new(&options, nacre_clock_ms(), &session) != 0)
		errx(255, "no session");
	nacre_key_put_blob(key, false, &blob);
	nacre_auth_user(session, argv[3]);
	nacre_auth_publickey(session, nacre_key_format(key), nacre_buffer_span(&blob), NULL);
	for (;;) {
		while (nacre_session_next_event(session, nacre_clock_ms(), &event))
			handle(session, &event, argv);
		while ((length = nacre_session_output(session).length) > 0) {
			count = write(fd, nacre_session_output(session).data, length);
			if (count < 0)
				err(255, "write");
			nacre_session_sent(session, (size_t)count);
		}
		room = nacre_session_input_room(session, &length);
		if ((count = read(fd, room, length)) < 0)
			err(255, "read");
		nacre_session_received(session, (size_t)count, nacre_clock_ms());
	}
}
