/*
 * A worker: the monitor of one connection and its network process, made ready before the connection
 * is there. What can be read, computed and given up beforehand is.
 */
#include "login.h"
#include "metrics.h"
#include "monitor.h"
#include "pam.h"
#include "record.h"
#include "server.h"

#include "listener.h"

#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/sandbox.h>
#include <nacre/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL 3

/* The network process is started before any private key is read: it never holds one. */
static void
start_network(struct login *login)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		nacre_fatal("socketpair: %s", strerror(errno));
	login->network_pid = fork();
	if (login->network_pid < 0)
		nacre_fatal("fork: %s", strerror(errno));
	if (login->network_pid == 0)
		network_main(login->server, pair[1]);
	close(pair[1]);
	login->network = pair[0];
}

/* Reads the private half that most clients will want, and fills the caches of the account
 * database. */
static void
warm_up(struct server *server)
{
	struct nacre_span list = nacre_span_of(server->host_key_algorithms);
	struct nacre_span first = nacre_list_next(&list);
	enum nacre_key_type wanted, own;
	struct nacre_account account;

	for (size_t i = 0; i < server->host_key_count; i++) {
		struct nacre_span blob = nacre_buffer_span(&server->host_keys[i].blob);
		struct nacre_reader reader = nacre_reader_of(blob);
		if (nacre_key_type_of_name(first, &wanted) == 0 &&
		    nacre_key_type_of_name(nacre_get_string(&reader), &own) == 0 && wanted == own)
			(void)host_keys_prepare(server, blob);
	}
	if (nacre_account_find("root", &account) == 0)
		nacre_account_clear(&account);
	pam_preload(server);
}

static void
tune_socket(int fd, const struct nacre_sshd_config *config)
{
	int on = 1;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	nacre_socket_fit_path(fd);
	if (config->tcp_keep_alive)
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

static _Noreturn void
serve(struct login *login)
{
	tune_socket(login->input, login->server->config);
	if (login->output != login->input)
		tune_socket(login->output, login->server->config);
	peer_of(login->input, &login->peer);
	record_connection(login);
	if (proxy_is_trusted(login->server->config, login->peer.address))
		login->state = MONITOR_PROXIED;
	else
		record_connection_begins(login);
	monitor_run(login);
}

_Noreturn void
worker_serve(struct server *server, int input, int output)
{
	static struct login login;

	login = (struct login){.server = server,
	    .config = server->config,
	    .state = MONITOR_STRANGER,
	    .control = -1,
	    .input = input,
	    .output = output,
	    .session_pid = -1};
	nacre_sandbox_protect_memory();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	umask(umask(0) | 022);
	start_network(&login);
	warm_up(server);
	serve(&login);
}

/* A descriptor of the kind "expected" from the listener. When the listener is gone before there was
 * a connection, nobody will miss us. */
static int
receive_descriptor(int control, enum worker_message expected)
{
	uint8_t byte = 0;
	int fd = -1;
	size_t count = 1;
	int error = nacre_process_receive(control, &byte, 1, &fd, &count);

	if (error == NACRE_ERROR_CLOSED)
		_exit(0);
	if (error != 0 || byte != (uint8_t)expected || count != 1)
		nacre_fatal("the listener sent something else than expected");
	return fd;
}

static void
take_state(struct server *server, int fd)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		nacre_fatal("state of the listener: %s", strerror(errno));
	size_t length = (size_t)status.st_size;
	void *state = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (state == MAP_FAILED || server_decode(server, (struct nacre_span){state, length}) != 0)
		nacre_fatal("the state of the listener cannot be read");
}

_Noreturn void
worker_main(int control, int argc, char **argv)
{
	static struct server server;
	static struct login login;

	server = (struct server){.key_file = -1, .privileged = geteuid() == 0};
	title_prepare(argc, argv);
	title_set("[waiting]");
	nacre_sandbox_protect_memory();
	signal(SIGPIPE, SIG_IGN);
	umask(umask(0) | 022);
	take_state(&server, receive_descriptor(control, WORKER_STATE));
	server_log_open(&server);
	login = (struct login){.server = &server,
	    .config = server.config,
	    .state = MONITOR_STRANGER,
	    .control = control,
	    .session_pid = -1};
	start_network(&login);
	server.key_file = receive_descriptor(control, WORKER_KEYS);
	if (server.config->metrics_listen != NULL)
		metrics_report_to(receive_descriptor(control, WORKER_METRICS));
	warm_up(&server);
	login.input = login.output = receive_descriptor(control, WORKER_CONNECTION);
	title_set("[accepted]");
	serve(&login);
}
