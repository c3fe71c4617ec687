/*
 * What the files of sshd share: the command line, the server that was configured, a connection. The
 * messages between the processes are in monitor.h.
 */
#ifndef SSHD_SERVER_H
#define SSHD_SERVER_H

#include <nacre/key.h>
#include <nacre/session.h>
#include <nacre/sshd_config.h>
#include <nacre/wire.h>

#include <sys/types.h>

#define SERVER_SOFTWARE "Nacre_" NACRE_VERSION
#define MEMBERS(array)  (sizeof(array) / sizeof(array)[0])

/* The command line, as the listener got it and as its workers get it from the listener. */
struct command_line {
	const char *config_path;
	char **options; /* of -o, -p, -h and so on, as lines of sshd_config */
	size_t option_count;
	const char *log_file;         /* -E */
	bool log_stderr;              /* -e, -d, and the modes that only test */
	bool quiet;                   /* -q */
	bool port_given;              /* -p: the ports of the file do not count */
	unsigned debug;               /* -d, up to 3 */
	bool foreground;              /* -D */
	bool inetd;                   /* -i */
	bool test, print, parse_only; /* -t, -T, -G */
	const char *grace_time;       /* -g */
	const char **specifications;  /* -C */
	size_t specification_count;
};

/* A host key: its public half everywhere, its private half in the monitor, and there only from when
 * it is first needed. */
struct host_key {
	char *path;
	struct nacre_buffer blob;
	struct nacre_buffer certificate; /* HostCertificate of the key; empty: none */
	struct nacre_key *public_key;    /* with its certificate; in the listener only */
	struct nacre_key *private_key;
	/* Of the private key file, in the memory file of keys; length 0: it is in the agent. */
	size_t text_offset, text_length;
};

struct server {
	struct command_line command_line;
	struct nacre_sshd_config *config;
	struct host_key *host_keys;
	size_t host_key_count;
	int key_file; /* memory file with the private key files; -1 where it must not be */
	char *host_key_algorithms;       /* that our keys can sign */
	char *signature_algorithms;      /* of users, that clients are told */
	struct nacre_buffer moduli_text; /* in the listener */
	struct nacre_span moduli;        /* there, or in the state that a worker was given */
	bool privileged;                 /* we are root */
	bool running;                    /* complaints go to the log: nobody is looking */
};

/* The two ends' addresses, as the log and the environment want them. */
struct peer {
	char address[64], local_address[64];
	int port, local_port;
};

/* configure.c: from a command line to a server. Both complain on the log and return an error. */
int server_configure(struct server *server);
/* Reads the ModuliFile, if there is one. */
int server_read_moduli(struct server *server);
/* Prints what is in force (-T, -G), with -C applied. */
int server_print(struct server *server);
void server_free(struct server *server);
/* Opens the log as the command line and the configuration say. */
void server_log_open(const struct server *server);

/* host_keys.c */
/* Reads the configured host keys into server->host_keys and server->key_file. At least one. */
int host_keys_load(struct server *server);
/* Reads the private half that belongs to a public key or certificate blob, if that is to be done.
 * False when there is none. */
bool host_keys_prepare(struct server *server, struct nacre_span blob);
/* Appends a signature by the key of this blob. "algorithm" NULL: the key's first. */
int host_keys_sign(struct server *server, struct nacre_span blob, const char *algorithm,
    struct nacre_span data, struct nacre_buffer *signature);
/* Wipes all private halves and closes the memory file. */
void host_keys_forget(struct server *server);
void host_keys_free(struct server *server);

/* pass_on.c: a server's state from the listener to a worker. */
int server_encode(const struct server *server, struct nacre_buffer *state);
int server_decode(struct server *server, struct nacre_span state);

/* listener.c: accepts until a signal says stop. Returns the exit status. */
int listener_run(struct server *server, int argc, char **argv);

/* worker.c: serves one connection. */
/* What the listener tells a worker, each one byte with a descriptor. */
enum worker_message {
	WORKER_STATE = 's',
	WORKER_KEYS = 'k',
	WORKER_CONNECTION = 'c',
	WORKER_METRICS = 'm'
};
/*
 * What a worker tells the listener: records of this form, each with one write. A worker that is gone
 * without having said AUTHENTICATED or ENDED has crashed.
 */
enum worker_event {
	WORKER_PROXIED = 1,   /* a proxy has named the client: see address */
	WORKER_ASKED,         /* somebody tries to authenticate, and is not through yet */
	WORKER_AUTHENTICATED, /* no stranger any more */
	WORKER_ENDED          /* before that: see outcome */
};
enum worker_outcome {
	OUTCOME_AUTHENTICATED,
	OUTCOME_NO_ATTEMPT,     /* went without an attempt to authenticate */
	OUTCOME_SILENT,         /* the same, and did not even identify itself */
	OUTCOME_GARBAGE,        /* is no SSH client */
	OUTCOME_AUTH_FAILED,    /* went after attempts in vain */
	OUTCOME_INVALID_USER,   /* the same, for a user who does not exist */
	OUTCOME_REFUSED,        /* RefuseConnection */
	OUTCOME_GRACE_EXCEEDED, /* LoginGraceTime */
	OUTCOME_CRASHED,        /* a process of ours died, or did what it must not */
	OUTCOME_FAILED          /* we could not serve it, which is our fault */
};
struct worker_report {
	uint8_t event;    /* enum worker_event */
	uint8_t outcome;  /* enum worker_outcome */
	uint8_t known;    /* 1: the user exists */
	uint8_t attempts; /* to authenticate, up to 255 */
	uint8_t family;   /* PROXIED: 4 or 6 */
	uint8_t address[16];
	uint16_t port;
};
/* The process that the listener started: descriptor "control" leads to it. Does not return. */
_Noreturn void worker_main(int control, int argc, char **argv);
/* The same in this process, for -d and -i. */
_Noreturn void worker_serve(struct server *server, int input, int output);

/* confine.c: for processes that strangers can reach. */
struct nacre_sandbox;
/* No descriptor but "fd", as "number"; 0 to 2 lead nowhere, with "silent". */
void confine_descriptors(int fd, int number, bool silent);
/* Gives up identity and root directory, where there is root's to give up, and enters the sandbox.
 * Exits when that cannot be. */
void confine_for_good(struct nacre_sandbox *sandbox, bool privileged);

/* proxy.c: the PROXY protocol's header. */
/* Whether connections from this address come with one (ProxyProtocol). */
bool proxy_is_trusted(const struct nacre_sshd_config *config, const char *address);
/* The network process: reads the header from the connection, within its time, and tells the monitor;
 * *rest is what was read behind it. 0, or an error with *problem. */
int proxy_read_header(int connection, int monitor, struct nacre_buffer *rest, const char **problem);

/* network.c: the process that talks to the stranger. Does not return. */
_Noreturn void network_main(struct server *server, int monitor);

/* user_session.c: the process of the user who has logged in. Does not return. */
struct login;
_Noreturn void user_session_main(struct login *login, int monitor, struct nacre_span state);

/* title.c: what ps shows. */
void title_prepare(int argc, char **argv);
void title_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The options of a session on this server; strings are borrowed from it, "blobs" has room for two a
 * host key. */
void server_session_options(
    const struct server *server, struct nacre_session_options *options, struct nacre_span *blobs);

#endif
