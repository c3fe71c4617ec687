/*
 * Error codes shared by the whole library. A function that can fail returns 0
 * or one of these, all negative. What went wrong with which thing is said by
 * the layer that knows it: a session keeps a message, programs log one line.
 */
#ifndef NACRE_ERROR_H
#define NACRE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_error {
	NACRE_ERROR_MEMORY = -1,      /* no memory, or a size bound was reached */
	NACRE_ERROR_ARGUMENT = -2,    /* the caller passed something impossible */
	NACRE_ERROR_FORMAT = -3,      /* malformed: truncated, trailing or impossible data */
	NACRE_ERROR_UNSUPPORTED = -4, /* well formed, but not an algorithm or type we have */
	NACRE_ERROR_PASSPHRASE = -5,  /* a passphrase is needed, or this one is wrong */
	NACRE_ERROR_SIGNATURE = -6,   /* a signature does not verify */
	NACRE_ERROR_INTEGRITY = -7,   /* a packet or file fails its MAC */
	NACRE_ERROR_NEGOTIATION = -8, /* no algorithm in common with the peer */
	NACRE_ERROR_PROTOCOL = -9,    /* the peer broke the protocol */
	NACRE_ERROR_STATE = -10,      /* the call is not allowed in this state */
	NACRE_ERROR_LIBRARY = -11,    /* a cryptographic library failed or is missing */
	NACRE_ERROR_SYSTEM = -12,     /* a system call failed: see errno */
	NACRE_ERROR_NOT_FOUND = -13,  /* no such key, host, file, channel */
	NACRE_ERROR_REFUSED = -14,    /* policy or the peer said no */
	NACRE_ERROR_CLOSED = -15,     /* the connection or the channel is gone */
	NACRE_ERROR_PERMISSION = -16, /* a file's owner or mode is unsafe */
	NACRE_ERROR_TOO_SMALL = -17   /* a key is shorter than policy allows */
};

/* A short English phrase for an error code, without a full stop. Never NULL; static storage. */
const char *nacre_error_string(int error);

#ifdef __cplusplus
}
#endif
#endif
