/*
 * Sessions against the installed OpenSSH, in both roles, with every algorithm that both have: each
 * logs in with a key, sends data through a remote cat and gets it back. Skipped without OpenSSH.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <nacre/crypto.h>
#include <nacre/key.h>
#include <nacre/session.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SSHD   "/usr/sbin/sshd"
#define SSH    "/usr/bin/ssh"
#define AMOUNT ((size_t)300000)

static struct {
	char folder[64];
	struct nacre_key *host_key, *user_key;
	struct nacre_buffer host_blob, user_blob;
	char user[64];
	char peer_names[65536]; /* what OpenSSH's -Q lists, comma-separated */
} world;

struct run {
	struct nacre_session *session;
	struct nacre_session_options options;
	int socket;
	uint32_t channel;
	size_t sent, received;
	bool opened, eof_sent, ended, wrong;
	unsigned keys_exchanged;
	char text[512];
	const char *algorithm;
	uint64_t rekey_at;
};

static uint64_t
milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
path_in(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", world.folder, name);
}

static void
file_write(const char *name, const struct nacre_buffer *content)
{
	char path[128];
	FILE *file;

	path_in(path, sizeof path, name);
	file = fopen(path, "w");
	assert_non_null(file);
	chmod(path, 0600);
	fwrite(nacre_buffer_span(content).data, 1, nacre_buffer_length(content), file);
	fclose(file);
}

static void
key_write(const struct nacre_key *key, const char *private, const char *public)
{
	struct nacre_key_file_options options = {0};
	struct nacre_buffer text = {0};

	assert_int_equal(nacre_key_put_private(key, &options, &text), 0);
	file_write(private, &text);
	nacre_buffer_clear(&text);
	nacre_key_put_line(key, "", &text);
	nacre_put_byte(&text, '\n');
	file_write(public, &text);
	nacre_buffer_free(&text);
}

static void
config_write(void)
{
	struct nacre_buffer text = {0};

	nacre_put_format(&text,
	    "HostKey %s/host\nAuthorizedKeysFile %s/user.pub\nStrictModes no\nUsePAM no\n"
	    "PermitRootLogin yes\nPasswordAuthentication no\nPidFile none\nLogLevel DEBUG1\n"
	    "KexAlgorithms +diffie-hellman-group14-sha1,diffie-hellman-group1-sha1,"
	    "diffie-hellman-group14-sha256,diffie-hellman-group16-sha512,"
	    "diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha256,"
	    "diffie-hellman-group-exchange-sha1\nCiphers "
	    "+aes128-cbc,aes192-cbc,aes256-cbc,3des-cbc\n"
	    "MACs +hmac-sha1,umac-64@openssh.com\nCompression delayed\n",
	    world.folder, world.folder);
	file_write("sshd_config", &text);
	nacre_buffer_free(&text);
}

static void
query(const char *what)
{
	size_t length = strlen(world.peer_names);
	char command[64], line[128];
	FILE *pipe;

	snprintf(command, sizeof command, SSH " -Q %s", what);
	pipe = popen(command, "r");
	while (pipe != NULL && fgets(line, sizeof line, pipe) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		length += (size_t)snprintf(
		    world.peer_names + length, sizeof world.peer_names - length, "%s,", line);
	}
	if (pipe != NULL)
		pclose(pipe);
}

static int
world_make(void **state)
{
	struct passwd *self = getpwuid(getuid());

	(void)state;
	snprintf(world.folder, sizeof world.folder, "/tmp/nacre-test-XXXXXX");
	if (mkdtemp(world.folder) == NULL || self == NULL)
		return -1;
	snprintf(world.user, sizeof world.user, "%s", self->pw_name);
	nacre_key_generate(NACRE_KEY_ED25519, 0, &world.host_key);
	nacre_key_generate(NACRE_KEY_ED25519, 0, &world.user_key);
	nacre_key_put_blob(world.host_key, false, &world.host_blob);
	nacre_key_put_blob(world.user_key, false, &world.user_blob);
	key_write(world.host_key, "host", "host.pub");
	key_write(world.user_key, "user", "user.pub");
	config_write();
	query("kex");
	query("cipher");
	query("mac");
	/* As root sshd wants its empty folder; it stays, since others may be using it. */
	if (getuid() == 0 && mkdir("/run/sshd", 0755) != 0 && errno != EEXIST)
		return -1;
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int
world_drop(void **state)
{
	char command[128];

	(void)state;
	nacre_key_free(world.host_key);
	nacre_key_free(world.user_key);
	nacre_buffer_free(&world.host_blob);
	nacre_buffer_free(&world.user_blob);
	snprintf(command, sizeof command, "rm -rf '%s'", world.folder);
	return system(command);
}

static uint8_t
pattern(size_t position)
{
	return (uint8_t)(position * 31 + (position >> 8) * 7 + (position >> 16));
}

/* Sends the pattern, then EOF. */
static void
feed(struct run *run)
{
	uint8_t *room;
	size_t most;

	if (!run->opened || run->options.role == NACRE_SERVER)
		return;
	while (run->sent < AMOUNT && (room = nacre_channel_room(run->session, run->channel,
					  NACRE_STREAM_DATA, &most)) != NULL) {
		if (most > AMOUNT - run->sent)
			most = AMOUNT - run->sent;
		for (size_t i = 0; i < most; i++)
			room[i] = pattern(run->sent + i);
		nacre_channel_commit(run->session, run->channel, most);
		run->sent += most;
	}
	if (run->sent == AMOUNT && !run->eof_sent) {
		nacre_channel_eof(run->session, run->channel);
		run->eof_sent = true;
	}
}

/* A server plays cat; a client compares. */
static void
take_data(struct run *run, const struct nacre_event *event)
{
	struct nacre_span data = nacre_channel_data(run->session, event->channel, event->u.stream);
	size_t length = data.length;

	if (run->options.role == NACRE_SERVER) {
		length = nacre_channel_write(run->session, event->channel, NACRE_STREAM_DATA, data);
	} else if (event->u.stream == NACRE_STREAM_DATA) {
		for (size_t i = 0; i < length; i++)
			if (data.data[i] != pattern(run->received + i))
				run->wrong = true;
	}
	run->received += length;
	nacre_channel_consume(run->session, event->channel, event->u.stream, length);
}

static void
answer_sign(struct run *run, const struct nacre_event *event)
{
	char *algorithm = nacre_span_to_string(event->u.sign.algorithm);
	struct nacre_buffer signature = {0};

	nacre_key_sign(event->u.sign.exchange_hash ? world.host_key : world.user_key, algorithm,
	    event->u.sign.data, &signature);
	nacre_session_signature(run->session, nacre_buffer_span(&signature));
	nacre_buffer_free(&signature);
	free(algorithm);
}

static void
answer_auth(struct run *run, const struct nacre_event *event)
{
	if (event->u.auth_request.method != NACRE_METHOD_PUBLICKEY)
		nacre_auth_reject(run->session, "publickey", false);
	else if (!event->u.auth_request.has_signature)
		nacre_auth_publickey_ok(run->session);
	else if (nacre_key_verify(world.user_key, NULL, event->u.auth_request.signature,
		     event->u.auth_request.signed_data) == 0)
		nacre_auth_accept(run->session);
	else
		nacre_auth_reject(run->session, "publickey", false);
}

static void
take_end(struct run *run, const struct nacre_event *event)
{
	snprintf(run->text, sizeof run->text, "%.*s", (int)event->u.disconnected.text.length,
	    (const char *)event->u.disconnected.text.data);
	run->ended = true;
}

static void
take_channel_event(struct run *run, const struct nacre_event *event)
{
	switch (event->kind) {
	case NACRE_EVENT_CHANNEL_OPEN:
		run->channel = event->channel;
		nacre_channel_accept(run->session, event->channel);
		break;
	case NACRE_EVENT_CHANNEL_OPENED:
		run->opened = true;
		nacre_channel_request_exec(run->session, run->channel, true, "cat");
		break;
	case NACRE_EVENT_CHANNEL_REQUEST:
		if (event->u.channel_request.want_reply)
			nacre_channel_request_reply(run->session, event->channel, true);
		break;
	case NACRE_EVENT_CHANNEL_DATA:
		take_data(run, event);
		break;
	case NACRE_EVENT_CHANNEL_EOF:
		if (run->options.role == NACRE_SERVER) {
			nacre_channel_eof(run->session, event->channel);
			nacre_channel_request_exit_status(run->session, event->channel, 7);
			nacre_channel_close(run->session, event->channel);
		}
		break;
	case NACRE_EVENT_CHANNEL_CLOSED:
		if (run->options.role == NACRE_CLIENT)
			nacre_session_disconnect(
			    run->session, NACRE_DISCONNECT_BY_APPLICATION, "done");
		break;
	default:
		break;
	}
}

static void
take_event(struct run *run, const struct nacre_event *event)
{
	switch (event->kind) {
	case NACRE_EVENT_LOG:
		if (getenv("NACRE_TEST_LOG") != NULL)
			fprintf(stderr, "%.*s\n", (int)event->u.log.text.length,
			    (const char *)event->u.log.text.data);
		break;
	case NACRE_EVENT_HOST_KEY:
		nacre_session_trust_host_key(run->session,
		    nacre_span_equal(event->u.host_key.blob, nacre_buffer_span(&world.host_blob)));
		break;
	case NACRE_EVENT_SIGN:
		answer_sign(run, event);
		break;
	case NACRE_EVENT_KEYS_EXCHANGED:
		run->keys_exchanged++;
		break;
	case NACRE_EVENT_AUTH_REQUEST:
		answer_auth(run, event);
		break;
	case NACRE_EVENT_AUTHENTICATED:
		if (run->options.role == NACRE_CLIENT)
			nacre_channel_open_session(run->session, &run->channel);
		break;
	case NACRE_EVENT_GLOBAL_REQUEST:
		if (event->u.global_request.want_reply)
			nacre_global_request_reply(
			    run->session, false, (struct nacre_span){NULL, 0});
		break;
	case NACRE_EVENT_DISCONNECTED:
		take_end(run, event);
		break;
	default:
		take_channel_event(run, event);
	}
}

/* One turn of the caller's loop; false at the end. */
static bool
turn(struct run *run)
{
	struct nacre_event event;
	struct nacre_span output;
	struct pollfd wait = {.fd = run->socket, .events = POLLIN};
	size_t room = 0;
	uint8_t *bytes;
	ssize_t count;

	while (nacre_session_next_event(run->session, milliseconds(), &event))
		take_event(run, &event);
	if (!run->ended)
		feed(run);
	output = nacre_session_output(run->session);
	if (output.length > 0)
		wait.events |= POLLOUT;
	else if (run->ended)
		return false;
	if (poll(&wait, 1, 10000) <= 0) {
		snprintf(run->text, sizeof run->text, "nothing happens");
		return false;
	}
	if ((wait.revents & POLLOUT) != 0) {
		count = write(run->socket, output.data, output.length);
		if (count <= 0)
			return false;
		nacre_session_sent(run->session, (size_t)count);
	}
	if ((wait.revents & (POLLIN | POLLHUP)) != 0 &&
	    (bytes = nacre_session_input_room(run->session, &room)) != NULL) {
		count = read(run->socket, bytes, room);
		nacre_session_received(run->session, count > 0 ? (size_t)count : 0, milliseconds());
	}
	return true;
}

static void
drive(struct run *run)
{
	assert_int_equal(nacre_session_new(&run->options, milliseconds(), &run->session), 0);
	if (run->options.role == NACRE_CLIENT) {
		nacre_auth_user(run->session, world.user);
		nacre_auth_publickey(
		    run->session, run->algorithm, nacre_buffer_span(&world.user_blob), NULL);
	}
	while (turn(run))
		;
	nacre_session_free(run->session);
	close(run->socket);
}

static void
options_set(struct run *run, const char *kex, const char *cipher, const char *mac)
{
	run->algorithm = "ssh-ed25519";
	run->options.kex_algorithms = kex;
	run->options.ciphers_client_to_server = run->options.ciphers_server_to_client = cipher;
	run->options.macs_client_to_server = run->options.macs_server_to_client = mac;
	run->options.log_level =
	    getenv("NACRE_TEST_LOG") != NULL ? NACRE_LOG_DEBUG3 : NACRE_LOG_QUIET;
}

/* Our client ------------------------------------------------------------------------------- */

static pid_t
sshd_start(int *ours)
{
	char config[128], log[128];
	int pair[2];
	pid_t child;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	path_in(config, sizeof config, "sshd_config");
	path_in(log, sizeof log, "sshd.log");
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	child = fork();
	if (child == 0) {
		dup2(pair[1], 0);
		dup2(pair[1], 1);
		execl(SSHD, "sshd", "-i", "-f", config, "-E", log, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*ours = pair[0];
	return child;
}

static void
client_try(const char *kex, const char *cipher, const char *mac, const char *compression,
    uint64_t rekey_bytes)
{
	struct run run = {.options = {.role = NACRE_CLIENT,
			      .guess = true,
			      .host_key_algorithms = "ssh-ed25519",
			      .compression = compression,
			      .rekey_bytes = rekey_bytes}};
	pid_t child = sshd_start(&run.socket);

	options_set(&run, kex, cipher, mac);
	drive(&run);
	waitpid(child, NULL, 0);
	if (run.received != AMOUNT || run.wrong)
		fail_msg("%s %s %s %s: %zu of %zu bytes came back: %s", kex, cipher, mac,
		    compression, run.received, AMOUNT, run.text);
	if (rekey_bytes > 0)
		assert_true(run.keys_exchanged > 2);
}

/* Our server ------------------------------------------------------------------------------- */

static pid_t
ssh_start(int port, const char *kex, const char *cipher, const char *mac, const char *extra)
{
	char options[5][160], port_text[16], identity[128], in[128], out[128], log[128];
	pid_t child = fork();

	if (child != 0)
		return child;
	snprintf(options[0], sizeof options[0], "-oKexAlgorithms=%s", kex);
	snprintf(options[1], sizeof options[1], "-oCiphers=%s", cipher);
	snprintf(options[2], sizeof options[2], "-oMACs=%s", mac);
	snprintf(options[3], sizeof options[3], "-o%s", extra);
	snprintf(port_text, sizeof port_text, "%d", port);
	path_in(identity, sizeof identity, "user");
	path_in(in, sizeof in, "in");
	path_in(out, sizeof out, "out");
	path_in(log, sizeof log, "ssh.log");
	if (freopen(in, "r", stdin) == NULL || freopen(out, "w", stdout) == NULL ||
	    freopen(log, "w", stderr) == NULL)
		_exit(126);
	execl(SSH, "ssh", "-F", "none", "-v", "-oUserKnownHostsFile=/dev/null",
	    "-oStrictHostKeyChecking=no", "-oIdentitiesOnly=yes", "-i", identity, "-p", port_text,
	    options[0], options[1], options[2], options[3], "127.0.0.1", "cat", (char *)NULL);
	_exit(127);
}

static int
listen_anywhere(int *port)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	*port = ntohs(address.sin_port);
	return listener;
}

static bool
file_is_pattern(const char *name)
{
	char path[128];
	size_t count = 0;
	FILE *file;
	int byte;

	path_in(path, sizeof path, name);
	if ((file = fopen(path, "r")) == NULL)
		return false;
	while ((byte = getc(file)) != EOF && (uint8_t)byte == pattern(count))
		count++;
	fclose(file);
	return byte == EOF && count == AMOUNT;
}

static void
pattern_write(void)
{
	struct nacre_buffer content = {0};

	for (size_t i = 0; i < AMOUNT; i++)
		nacre_put_byte(&content, pattern(i));
	file_write("in", &content);
	nacre_buffer_free(&content);
}

static void
server_try(const char *kex, const char *cipher, const char *mac, const char *extra)
{
	struct nacre_span keys[1] = {nacre_buffer_span(&world.host_blob)};
	struct run run = {
	    .options = {.role = NACRE_SERVER, .host_keys = keys, .host_key_count = 1}};
	int port, listener = listen_anywhere(&port), status = 0;
	pid_t child = ssh_start(port, kex, cipher, mac, extra);

	options_set(&run, kex, cipher, mac);
	run.socket = accept(listener, NULL, NULL);
	close(listener);
	drive(&run);
	waitpid(child, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 7 || !file_is_pattern("out"))
		fail_msg("%s %s %s %s: status %x: %s", kex, cipher, mac, extra, (unsigned)status,
		    run.text);
}

/* Every pair -------------------------------------------------------------------------------- */

static bool
common(struct nacre_span name, const char *peer)
{
	return nacre_list_contains(nacre_span_of(peer), name);
}

typedef void (*try_function)(bool client, const char *kex, const char *cipher, const char *mac);

static void
try_pair(bool client, const char *kex, const char *cipher, const char *mac)
{
	if (client)
		client_try(kex, cipher, mac, "none", 0);
	else
		server_try(kex, cipher, mac, "Compression=no");
}

/* Calls "try" for each of our names that OpenSSH has too. */
static void
each_common(enum nacre_algorithm_list list, bool client, int slot, try_function try)
{
	struct nacre_span names = nacre_span_of(nacre_algorithms(list)), name;

	while ((name = nacre_list_next(&names)).length > 0) {
		char *text;

		if (!common(name, world.peer_names))
			continue;
		text = nacre_span_to_string(name);
		try(client, slot == 0 ? text : "curve25519-sha256", slot == 1 ? text : "aes128-ctr",
		    slot == 2 ? text : "hmac-sha2-256");
		free(text);
	}
}

static void
all_algorithms(bool client)
{
	if (access(SSHD, X_OK) != 0 || access(SSH, X_OK) != 0)
		skip();
	pattern_write();
	each_common(NACRE_LIST_KEX, client, 0, try_pair);
	each_common(NACRE_LIST_CIPHERS, client, 1, try_pair);
	each_common(NACRE_LIST_MACS, client, 2, try_pair);
}

static void
client_speaks_with_openssh(void **state)
{
	(void)state;
	all_algorithms(true);
}

static void
server_speaks_with_openssh(void **state)
{
	(void)state;
	all_algorithms(false);
}

static void
rekeys_with_openssh(void **state)
{
	(void)state;
	if (access(SSHD, X_OK) != 0 || access(SSH, X_OK) != 0)
		skip();
	client_try("curve25519-sha256", "aes128-ctr", "hmac-sha2-256", "none", 40000);
	client_try("sntrup761x25519-sha512@openssh.com", "aes128-gcm@openssh.com", "hmac-sha2-256",
	    "none", 40000);
	server_try("curve25519-sha256", "aes128-ctr", "hmac-sha2-256", "RekeyLimit=40K");
	server_try("ecdh-sha2-nistp256", "chacha20-poly1305@openssh.com", "hmac-sha2-256",
	    "RekeyLimit=40K");
}

static void
compresses_with_openssh(void **state)
{
	(void)state;
	if (access(SSHD, X_OK) != 0 || access(SSH, X_OK) != 0)
		skip();
	client_try("curve25519-sha256", "aes128-ctr", "hmac-sha2-256", "zlib@openssh.com", 0);
	client_try("curve25519-sha256", "aes128-ctr", "hmac-sha2-256", "zlib@openssh.com", 2000);
	server_try("curve25519-sha256", "aes128-ctr", "hmac-sha2-256", "Compression=yes");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(client_speaks_with_openssh),
	    cmocka_unit_test(server_speaks_with_openssh),
	    cmocka_unit_test(rekeys_with_openssh),
	    cmocka_unit_test(compresses_with_openssh),
	};

	return cmocka_run_group_tests(tests, world_make, world_drop);
}
