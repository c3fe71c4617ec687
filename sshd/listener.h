/* What the files of the listener share: its state, the listening sockets, who may come in. */
#ifndef SSHD_LISTENER_H
#define SSHD_LISTENER_H

#include "crowd.h"
#include "server.h"
#include "sources.h"

#include <nacre/poller.h>

#include <sys/resource.h>

struct listen_socket {
	enum watched watched;
	int fd;
};

struct listen_sockets {
	struct listen_socket *all;
	size_t count;
};

/* Listens on every configured address and port; those that a former self has left open are taken
 * over. 0 when there is at least one. */
int listen_sockets_open(struct listen_sockets *sockets, const struct nacre_sshd_config *config);
/* Leaves them open for the program that this process becomes. */
void listen_sockets_keep(const struct listen_sockets *sockets);
void listen_sockets_close(struct listen_sockets *sockets);

/* Of family 4 or 6, from its bytes in network order. */
struct sockaddr_storage address_make(uint8_t family, const uint8_t *bytes, uint16_t port);
/* Writes the address as text, and returns its port; "UNKNOWN" and 65535 for what has none. */
int address_describe(
    const struct sockaddr_storage *address, socklen_t length, char *host, size_t room);
/* Addresses of both ends; "UNKNOWN" and 65535 for what is not a network socket. */
void peer_of(int fd, struct peer *peer);

/* The path of this program, from the first call on. */
const char *listener_program(void);

/* A process for a connection. */
struct worker {
	int control; /* -1: none */
	pid_t pid;
};

/* Who may come in (admission.c). */
struct admission {
	struct sources *sources;
	struct crowd crowd;
	struct link door;      /* silent strangers there, in the order of arrival */
	struct link speaking;  /* the others, in the order of beginning to speak */
	struct stranger *gone; /* freed once nothing refers to them any more */
	size_t hopeful;        /* silent ones at the door that will be let in */
	bool throttling;
	uint64_t throttled_until; /* when it was over, milliseconds */
	unsigned long dropped;    /* since throttling began */
	uint64_t next_start;      /* when the next one at the door may get a worker */
	uint64_t next_silent;     /* the same for one that does not speak */
	uint64_t noise_until;     /* a second ahead for each that was no SSH client */
};

struct listener {
	struct server *server;
	struct listen_sockets sockets;
	struct nacre_poller *poller;
	int signals;
	int state_file;
	struct worker waiting; /* that waits for a connection */
	uint64_t prepare_at;   /* UINT64_MAX: no need */
	struct admission admission;
	struct rlimit descriptors; /* as they were before we wanted more */
	char **argv;
};

/* listener.c: gives the connection to a worker, in which it is open then, too. False when no worker
 * can be had. */
bool listener_hand_over(struct listener *listener, int connection, struct worker *worker);
/* A login is over, or failed: time to make the next worker ready. */
void listener_prepare_soon(struct listener *listener);

/* admission.c. 0 or NACRE_ERROR_MEMORY. */
int admission_init(struct listener *listener);
/* Takes a connection that was accepted, and its descriptor. */
void admission_accepted(struct listener *listener, int fd, const struct sockaddr_storage *address);
/* Something has come from a stranger, or from its worker. */
void admission_ready(struct listener *listener, struct stranger *stranger);
/* What is due; to be called after every round of the loop. */
void admission_tick(struct listener *listener);
/* When something is due next, in milliseconds of the clock; UINT64_MAX: never. */
uint64_t admission_deadline(const struct listener *listener);
/* Out of descriptors: somebody at the door is sent away. False when nobody is there. */
bool admission_make_room(struct listener *listener);
/* A stranger that a former life of the server has left: "kept" is copied, its descriptor taken, and
 * it goes where its class says, behind those that are there. 0 or an error. */
int admission_take_over(
    struct listener *listener, const struct stranger *kept, const struct sockaddr_storage *address);

/* reload.c: what outlives a reload. */
struct reloaded {
	struct nacre_buffer file;
	struct nacre_span descriptors; /* in the file, four bytes each */
	struct nacre_reader rest;
};
/* Leaves strangers and penalties to the program that this process becomes. */
void reload_keep(const struct listener *listener);
/* Finds what was left, and how many strangers that is. */
size_t reload_find(struct reloaded *reloaded);
/* Takes them in, when sources and crowd are there. */
void reload_take_over(struct listener *listener, struct reloaded *reloaded);

#endif
