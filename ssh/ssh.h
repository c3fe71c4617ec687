/* What the files of the program ssh share: the command line, and the session that it asks for. */
#ifndef SSH_SSH_H
#define SSH_SSH_H

#include <nacre/client.h>

#include <stdbool.h>

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
	bool terminal; /* allocate one */
};
/* session_request.c: makes the requests of the plan (context): nacre_client_options.request. */
void session_request(void *context, struct nacre_client *client, uint32_t channel);
/* connection.c: runs until the remote side is done; returns ssh's exit status. */
int connection_run(struct nacre_client *client, const struct session_plan *plan);

/* escape.c: escape sequences at the beginning of a typed line. */
enum escape_action {
	ESCAPE_NONE,
	ESCAPE_TERMINATE,
	ESCAPE_SUSPEND,
	ESCAPE_LIST,
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
