/*
 * The server's side of SOCKS 4, 4A and 5 (RFC 1928 without authentication), for CONNECT alone, and
 * without I/O: bytes of the client in, the place that it wants to be connected to out.
 */
#ifndef NACRE_SOCKS_H
#define NACRE_SOCKS_H

#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_SOCKS_REQUEST_MAX 520 /* bytes, of any one message of a client */
#define NACRE_SOCKS_ANSWER_MAX  10
#define NACRE_SOCKS_HOST_MAX    255

enum nacre_socks_step {
	NACRE_SOCKS_MORE,    /* the message is not complete yet */
	NACRE_SOCKS_ANSWER,  /* answer is to be sent; the client goes on */
	NACRE_SOCKS_CONNECT, /* host and port are known; nacre_socks_finish() makes the answer */
	NACRE_SOCKS_REFUSED  /* answer (may be empty) is the last word; problem says why */
};

/* All zero at first. */
struct nacre_socks {
	uint8_t request[NACRE_SOCKS_REQUEST_MAX];
	size_t length;
	bool greeted; /* version 5: methods were agreed on */
	uint8_t version;
	char host[NACRE_SOCKS_HOST_MAX + 1]; /* a name, or an address in numbers; never empty */
	unsigned port;
	uint8_t answer[NACRE_SOCKS_ANSWER_MAX];
	size_t answer_length;
	const char *problem;
};

/* Takes bytes of the client until one message of it is complete; *taken is how many. What follows
 * them is not the decoder's: behind a CONNECT it belongs to the connection. */
enum nacre_socks_step nacre_socks_take(
    struct nacre_socks *socks, struct nacre_span bytes, size_t *taken);

enum nacre_socks_outcome {
	NACRE_SOCKS_CONNECTED,
	NACRE_SOCKS_FAILED,     /* for any reason */
	NACRE_SOCKS_NOT_ALLOWED /* by rules */
};
/* After CONNECT: makes the answer. */
void nacre_socks_finish(struct nacre_socks *socks, enum nacre_socks_outcome outcome);

#ifdef __cplusplus
}
#endif
#endif
