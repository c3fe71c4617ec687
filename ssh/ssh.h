/* What the files of the program ssh share: the command line, and the session that it asks for. */
#ifndef SSH_SSH_H
#define SSH_SSH_H

#include <nacre/client.h>

#include <stdbool.h>

/* mux_control.c: the commands of -O. */
enum mux_command {
	MUX_COMMAND_NONE,
	MUX_COMMAND_CHECK,
	MUX_COMMAND_CONNECTION,
	MUX_COMMAND_CHANNELS,
	MUX_COMMAND_FORWARD,
	MUX_COMMAND_CANCEL,
	MUX_COMMAND_EXIT,
	MUX_COMMAND_STOP
};
/* MUX_COMMAND_NONE: there is no such command. */
enum mux_command mux_command_read(const char *name);

/* The command line. */
struct command_line {
	struct nacre_ssh_config *config;
	const char *host;
	char *command;         /* the words after the host, joined; NULL: none */
	const char *user_file; /* -F */
	const char *log_file;  /* -E */
	bool log_to_syslog;    /* -y */
	char *stdio_host;      /* -W; NULL: none */
	int stdio_port;
	unsigned verbosity; /* number of -v */
	bool print_configuration;
	enum mux_command mux_command; /* -O */
};

/* ssh.c: -f: the caller gets its shell back; returns in the process that goes on. */
void go_to_background(struct nacre_client *client);

/* options.c: fills *line or exits with a message. */
void command_line_read(struct command_line *line, int argc, char **argv);
/* query.c: -Q; returns the exit status. */
int query_print(const char *what);

/* What the command line and the configuration ask for. */
struct session_plan {
	struct nacre_ssh_config *config;
	const char *command;    /* or subsystem; NULL: a shell */
	const char *stdio_host; /* -W; NULL: a session */
	int stdio_port;
	bool terminal;             /* allocate one */
	bool opens_bare;           /* a channel that the login opened has no requests yet */
	struct mux_master *master; /* of a connection that others may share; or NULL */
	bool detached;             /* this process only serves others */
	struct x11_forward *x11;   /* NULL: no display is forwarded */
};
/* session_request.c: makes the requests of the plan (context): nacre_client_options.request. */
void session_request(void *context, struct nacre_client *client, uint32_t channel);
/* One "NAME=VALUE" of an environment. */
void session_request_variable(struct nacre_session *session, uint32_t channel, const char *text);
/* connection.c: runs until the remote side is done; returns ssh's exit status. */
int connection_run(struct nacre_client *client, const struct session_plan *plan);

/* mux_client.c: hands the session, or the command of -O, to the master that ControlPath names.
 * Returns the exit status, or -1 when this process is to connect by itself. */
int mux_client_run(const struct session_plan *plan, enum mux_command command);

/* mux_master.c: listens at ControlPath where the configuration wants that; NULL: it does not, or
 * another master was there before. */
struct mux_master *mux_master_new(const struct nacre_ssh_config *config);
/* Leaves the socket to the process that goes on as the master. */
void mux_master_forget(struct mux_master *master);

/* escape.c: escape sequences at the beginning of a typed line. */
enum escape_action {
	ESCAPE_NONE,
	ESCAPE_TERMINATE,
	ESCAPE_SUSPEND,
	ESCAPE_LIST,
	ESCAPE_BACKGROUND,
	ESCAPE_HELP,
	ESCAPE_BREAK,
	ESCAPE_REKEY,
	ESCAPE_LESS_VERBOSE,
	ESCAPE_MORE_VERBOSE,
	ESCAPE_COMMAND_LINE
};
struct escape {
	int character; /* NACRE_ESCAPE_NONE: off */
	bool at_line_start, pending;
	bool command_line; /* ~C opens one */
};
/*
 * Takes typed bytes from in[0] up to "length" and puts what is to be sent into out[] (room for
 * length + 1 bytes; *put is how many), up to and including the first escape sequence, whose action
 * it returns. *taken is how many bytes it looked at.
 */
enum escape_action escape_filter(struct escape *escape, const uint8_t *in, size_t length,
    size_t *taken, uint8_t *out, size_t *put);
/* The text of ~?. */
void escape_print_help(const struct escape *escape);

/* stream.c: one of the three standard descriptors, without changing it for the processes that
 * share it. */
struct stream {
	int fd;       /* -1: closed */
	int standard; /* 0, 1 or 2 */
	bool socket, pipe;
	bool grown;     /* its pipe buffer */
	bool stalled;   /* its reader was waited for in vain and has not caught up since */
	uint64_t moved; /* bytes */
};
void stream_open(struct stream *stream, int standard);
void stream_close(struct stream *stream);
/* As read() and write(), but never waiting where that can be had; counts what moves. */
ssize_t stream_read(struct stream *stream, void *data, size_t length);
ssize_t stream_write(struct stream *stream, const void *data, size_t length);

#endif
