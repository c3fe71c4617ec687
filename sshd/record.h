/*
 * What the log says of a connection from its first byte to its last: lines in the words that log
 * watchers know, each an event with members where the log is JSON (see sshd_log(5)).
 */
#ifndef SSHD_RECORD_H
#define SSHD_RECORD_H

#include "login.h"

/* How a connection ended before login. */
struct ending {
	bool by_peer;
	bool identified; /* the peer had sent its identification */
	int error;
	uint32_t reason; /* of a DISCONNECT message; 0: there was none */
	struct nacre_span text;
};

/* Gives the connection its name in the log. */
void record_connection(struct login *login);
/* The client is known, too: it is at the other end, or a proxy there has named it. */
void record_connection_begins(struct login *login);
/* Microseconds since then. */
uint64_t record_age(const struct login *login);
/* The key that a request is about, or NULL: for what is logged of it. */
void record_key(struct login *login, const struct nacre_key *key);
void record_key_free(struct key_record *record);
/* The outcome of a request; "usable": the method is one of those that are offered. */
void record_attempt(
    const struct login *login, const char *method, const struct answer *answer, bool usable);
/* It ends before login. */
void record_ending(const struct login *login, const struct ending *ending);
/* How loud a DISCONNECT message is: users who go are no news. */
enum nacre_log_level record_disconnect_level(uint32_t reason);
/* The grace time is over. */
void record_timeout(const struct login *login);
/* A forwarded connection: the type of its channel, where it leads, and "opened", "failed" or
 * "refused"; then the line. */
void record_forward(enum nacre_log_level level, const char *kind, const char *target,
    const char *result, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* It ends after login. "how" is "disconnected" (by a message of the peer), "protocol_error", "closed",
 * "reset", "timeout" or "terminated"; "text" is what was said. */
void record_logout(const struct login *login, const char *how, struct nacre_span text,
    uint64_t sent, uint64_t received);

#endif
