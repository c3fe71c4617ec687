/*
 * How much the session costs beside its cipher: 1 GiB from one session to another in memory, and
 * the same bytes sealed, copied and opened in packets of the same size by the bare cipher.
 */
#include <crypto/cipher.h>
#include <nacre/key.h>
#include <nacre/session.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AMOUNT      ((uint64_t)1 << 30)
#define PACKET_DATA ((size_t)32 * 1024)
#define TURNS       3

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
demand(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "session_bench: %s\n", what);
	exit(1);
}

/* The bare cipher --------------------------------------------------------------------------- */

static double
cipher_run(const char *name)
{
	const struct cipher_algorithm *algorithm = cipher_find(nacre_span_of(name));
	size_t length = PACKET_DATA + 16, total = length + algorithm->tag_length;
	uint8_t key[64] = {1}, iv[64] = {2}, *out = calloc(4, total), *in = calloc(4, total);
	struct cipher *seal = NULL, *open = NULL;
	double begin = seconds();
	uint32_t sequence = 0;

	demand(out != NULL && in != NULL, "memory");
	demand(cipher_new(algorithm, true, key, iv, &seal) == 0, "cipher");
	demand(cipher_new(algorithm, false, key, iv, &open) == 0, "cipher");
	for (uint64_t done = 0; done < AMOUNT; done += 4 * PACKET_DATA, sequence += 4) {
		uint32_t packet_length;

		for (uint32_t i = 0; i < 4; i++) {
			uint8_t *packet = out + i * total;

			packet[0] = (uint8_t)((length - 4) >> 24);
			packet[1] = (uint8_t)((length - 4) >> 16);
			packet[2] = (uint8_t)((length - 4) >> 8);
			packet[3] = (uint8_t)(length - 4);
			cipher_seal(seal, sequence + i, packet, length);
		}
		memcpy(in, out, 4 * total);
		for (uint32_t i = 0; i < 4; i++) {
			uint8_t *packet = in + i * total;

			cipher_packet_length(open, sequence + i, packet, &packet_length);
			demand(cipher_open(open, sequence + i, packet, length) == 0, "tag");
		}
	}
	cipher_free(seal);
	cipher_free(open);
	free(out);
	free(in);
	return seconds() - begin;
}

/* Two sessions ------------------------------------------------------------------------------ */

struct end {
	struct nacre_session *session;
	uint32_t channel;
	bool authenticated, open;
	uint64_t received;
};

static struct nacre_key *host_key;

static void
take_event(struct end *end, const struct nacre_event *event)
{
	struct nacre_buffer signature = {0};
	struct nacre_span data;

	switch (event->kind) {
	case NACRE_EVENT_HOST_KEY:
		nacre_session_trust_host_key(end->session, true);
		break;
	case NACRE_EVENT_SIGN:
		nacre_key_sign(host_key, NULL, event->u.sign.data, &signature);
		nacre_session_signature(end->session, nacre_buffer_span(&signature));
		nacre_buffer_free(&signature);
		break;
	case NACRE_EVENT_AUTH_REQUEST:
		nacre_auth_accept(end->session);
		break;
	case NACRE_EVENT_AUTHENTICATED:
		end->authenticated = true;
		break;
	case NACRE_EVENT_CHANNEL_OPEN:
		nacre_channel_accept(end->session, event->channel);
		break;
	case NACRE_EVENT_CHANNEL_OPENED:
		end->open = true;
		break;
	case NACRE_EVENT_CHANNEL_DATA:
		data = nacre_channel_data(end->session, event->channel, event->u.stream);
		end->received += data.length;
		nacre_channel_consume(end->session, event->channel, event->u.stream, data.length);
		break;
	case NACRE_EVENT_DISCONNECTED:
		demand(false, "disconnected");
		break;
	default:
		break;
	}
}

static bool
step(struct end *from, struct end *to)
{
	struct nacre_span output;
	struct nacre_event event;
	size_t room;
	uint8_t *bytes;

	while (nacre_session_next_event(from->session, 1, &event))
		take_event(from, &event);
	output = nacre_session_output(from->session);
	if (output.length == 0 || (bytes = nacre_session_input_room(to->session, &room)) == NULL)
		return false;
	if (room > output.length)
		room = output.length;
	memcpy(bytes, output.data, room);
	nacre_session_received(to->session, room, 1);
	nacre_session_sent(from->session, room);
	return true;
}

static void
fill(struct end *client)
{
	uint8_t *bytes;
	size_t room;

	while ((bytes = nacre_channel_room(
		    client->session, client->channel, NACRE_STREAM_DATA, &room)) != NULL)
		nacre_channel_commit(client->session, client->channel, room);
}

/* Something moves, or what we wait for is there. */
static void
turn(struct end *client, struct end *server, const bool *there)
{
	bool moved = step(client, server);

	moved = step(server, client) || moved;
	demand(moved || *there, "nothing moves");
}

static void
login(struct end *client, struct end *server)
{
	nacre_auth_user(client->session, "someone");
	nacre_auth_none(client->session, NULL);
	while (!client->authenticated)
		turn(client, server, &client->authenticated);
	nacre_channel_open_session(client->session, &client->channel);
	while (!client->open)
		turn(client, server, &client->open);
}

static double
session_run(const char *cipher, const char *mac)
{
	struct nacre_buffer blob = {0};
	struct nacre_span keys[1];
	struct end client = {0}, server = {0};
	struct nacre_session_options options = {.role = NACRE_CLIENT,
	    .ciphers_client_to_server = cipher,
	    .ciphers_server_to_client = cipher,
	    .macs_client_to_server = mac,
	    .macs_server_to_client = mac};
	double begin;

	nacre_key_put_blob(host_key, false, &blob);
	keys[0] = nacre_buffer_span(&blob);
	demand(nacre_session_new(&options, 1, &client.session) == 0, "client");
	options.role = NACRE_SERVER;
	options.host_keys = keys;
	options.host_key_count = 1;
	demand(nacre_session_new(&options, 1, &server.session) == 0, "server");
	login(&client, &server);
	begin = seconds();
	while (server.received < AMOUNT) {
		fill(&client);
		step(&client, &server);
		step(&server, &client);
	}
	begin = seconds() - begin;
	nacre_session_free(client.session);
	nacre_session_free(server.session);
	nacre_buffer_free(&blob);
	return begin;
}

static double
best(double (*run)(const char *, const char *), const char *cipher, const char *mac)
{
	double least = run(cipher, mac);

	for (int i = 1; i < TURNS; i++) {
		double took = run(cipher, mac);

		if (took < least)
			least = took;
	}
	return least;
}

static double
cipher_run_of(const char *cipher, const char *mac)
{
	(void)mac;
	return cipher_run(cipher);
}

int
main(int argc, char **argv)
{
	static const char *const aeads[] = {
	    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"};

	demand(nacre_key_generate(NACRE_KEY_ED25519, 0, &host_key) == 0, "host key");
	if (argc > 1) {
		printf("%.2f GB/s\n", (double)AMOUNT / 1e9 / session_run(argv[1], argv[2]));
		nacre_key_free(host_key);
		return 0;
	}
	printf("%-32s %10s %10s %9s\n", "1 GiB in memory", "cipher", "session", "overhead");
	for (size_t i = 0; i < sizeof aeads / sizeof aeads[0]; i++) {
		double bare = best(cipher_run_of, aeads[i], NULL);
		double whole = best(session_run, aeads[i], NULL);

		printf("%-32s %5.2f GB/s %5.2f GB/s %+8.1f%%\n", aeads[i],
		    (double)AMOUNT / 1e9 / bare, (double)AMOUNT / 1e9 / whole,
		    (whole / bare - 1) * 100);
	}
	nacre_key_free(host_key);
	return 0;
}
