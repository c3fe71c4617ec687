/* The parts of ssh-agent: where its socket is (agent_socket.c), its loop (agent_serve.c). */
#ifndef SSH_AGENT_H
#define SSH_AGENT_H

#include <nacre/agent.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct agent_options {
	bool csh_style, kill, foreground, debug;
	bool in_temporary_directory; /* -T */
	unsigned cleaning;           /* how often -u was given */
	bool no_cleaning;            /* -U */
	const char *socket_path;     /* -a */
	uint32_t lifetime;           /* seconds */
	enum nacre_fingerprint_hash fingerprint_hash;
	const char *providers;    /* -P: a pattern list */
	bool remote_providers;    /* -O allow-remote-pkcs11 */
	bool any_application;     /* -O no-restrict-websafe */
	const char *applications; /* -O websafe-allow=; NULL: the default */
	int audit;                /* -O audit=: where to; -1: nowhere */
	char **command;           /* NULL: none */
};

struct agent_socket {
	int fd;
	char path[128];
	char directory[128]; /* removed with the socket; empty: none */
	bool inherited;      /* from the service manager, which removes it */
};

/* Creates the listening socket, or says why not and exits. */
void agent_socket_create(const struct agent_options *options, struct agent_socket *socket);
/* Takes the socket that a service manager opened for us (LISTEN_FDS); false when there is none. */
bool agent_socket_inherit(struct agent_socket *socket);
/* Removes what agent_socket_create() made. */
void agent_socket_remove(const struct agent_socket *socket);
/* Removes the sockets under ~/.ssh/agent that nobody listens on any more; those of other hosts,
 * too, if asked. */
void agent_socket_clean(bool all_hosts);

/* Serves until a signal ends it. "parent": of the COMMAND form, whose end ends it; 0: none. */
void agent_serve(
    const struct agent_options *options, const struct agent_socket *socket, pid_t parent);

#endif
