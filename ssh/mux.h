/* Connection sharing in ssh: what the files of its client side have in common. */
#ifndef SSH_MUX_H
#define SSH_MUX_H

#include "ssh/ssh.h"

#include <nacre/mux.h>

/* A connection to a master. */
struct mux_client {
	const struct session_plan *plan;
	enum mux_command command;
	const char *path;
	struct nacre_mux_socket socket;
	struct nacre_buffer output; /* messages that leave together */
	uint32_t next_id;
	bool greeted; /* the master's HELLO was taken */
	bool tells;   /* it answers NACRE_MUX_INFO */
};

/* mux_client.c */

/* Sends what is in client->output, and descriptors behind it. Whether the master is still there shows
 * when it is read from. */
void mux_client_send(struct mux_client *client, const int *descriptors, size_t count);
/* Takes the master's HELLO, if that was not done. 0, or an error that was logged. */
int mux_client_greeted(struct mux_client *client);
/* Waits for the next message. 0 or an error. */
int mux_client_next(struct mux_client *client, struct nacre_mux_message *message);
/* The same; it must be the answer to "id". Errors are logged. */
int mux_client_answer(struct mux_client *client, uint32_t id, struct nacre_mux_message *answer);

/* mux_control.c */

/* The command of -O; the exit status. */
int mux_control(struct mux_client *client);
/* Asks for the forwardings of the configuration, or for their end. 0, or an error that was logged. */
int mux_control_forwards(struct mux_client *client, bool cancel);

#endif
