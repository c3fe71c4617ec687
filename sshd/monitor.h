/*
 * What the monitor is asked, by whom, and when. This is the whole of the language between a process
 * that strangers can reach and the one that holds the host keys and root: a frame is a 32-bit
 * length, a type, and the fields named here (RFC 4251 encoding). Each type is legal in certain
 * states; anything else ends the connection with a line in the log.
 */
#ifndef SSHD_MONITOR_H
#define SSHD_MONITOR_H

#include <nacre/session.h>
#include <nacre/wire.h>

#define MONITOR_FRAME_LIMIT ((size_t)8 * 1024 * 1024)

/* States, as bits of the table in monitor.c. */
enum monitor_state {
	MONITOR_STRANGER = 1,      /* no keys yet */
	MONITOR_KEYED = 2,         /* the exchange hash was signed: the session has a name */
	MONITOR_ASKING = 4,        /* an INFO_REQUEST is unanswered */
	MONITOR_AUTHENTICATED = 8, /* the network process was told SUCCESS */
	MONITOR_SESSION = 16,      /* the session process runs; the network process is gone */
	MONITOR_PROXIED = 32,      /* first of all, a proxy has to name the client */
	MONITOR_REFUSED = 64       /* the network process was told to disconnect */
};

enum monitor_message {
	/* string algorithm, string host key blob, string data -> SIGNATURE */
	MONITOR_SIGN = 1,
	/* string user, string service, byte enum nacre_auth_method, string method name, then
	 * PASSWORD: boolean change, string password, string new password
	 * PUBLICKEY: boolean signed, boolean host-bound, string algorithm, string blob, string
	 * signature; HOSTBASED: string algorithm, string blob, string client's host, string
	 * client's user, string signature. -> ANSWER */
	MONITOR_AUTHENTICATE,
	/* u32 count, strings: to the prompts of an ANSWER -> ANSWER */
	MONITOR_RESPOND,
	/* string exported session. Ends the network process. No answer. */
	MONITOR_EXPORT,
	/* u32 level, string text. No answer. */
	MONITOR_LOG,
	/* boolean by peer, boolean identified (it is an SSH client), u32 error (negated), u32 reason,
	 * string text: how the connection ended before login. Ends the network process. No answer.
	 */
	MONITOR_END,
	/* string host key blob, ...: hostkeys-prove-00@openssh.com -> SIGNATURE (empty: no), whose
	 * string holds the signatures as strings */
	MONITOR_PROVE,
	/* -> TERMINAL_OPENED */
	MONITOR_TERMINAL,
	/* string name of a terminal that was opened: its user logs in on it -> LOGIN_RECORDED */
	MONITOR_LOGIN,
	/* string name of a terminal that was opened: it is needed no longer. No answer. */
	MONITOR_LOGOUT,
	/* u64 bytes sent, u64 received, u64 key exchanges, u64 channels opened, all since login, u32
	 * channels open: for the metrics. No answer. */
	MONITOR_STATISTICS,
	/* boolean the proxy's own connection; otherwise also byte family (4 or 6), source and
	 * destination as 4 or 16 bytes each, u32 source port, u32 destination port. No answer. */
	MONITOR_PROXY,

	/* From the monitor. */
	MONITOR_CONNECTION = 64, /* two descriptors; boolean: a proxy's header comes first */
	MONITOR_SIGNATURE,       /* string signature, empty: cannot */
	MONITOR_ANSWER,          /* see struct answer */
	/* string name, empty: cannot, without descriptors; two descriptors: ours, the program's */
	MONITOR_TERMINAL_OPENED,
	MONITOR_LOGIN_RECORDED /* string about the login before, may be empty */
};

/* The answer to a step of authentication. */
enum answer_kind {
	ANSWER_SUCCESS,
	ANSWER_FAILURE,         /* methods, partial */
	ANSWER_PUBLICKEY_OK,    /* - */
	ANSWER_CHANGE_PASSWORD, /* text: prompt */
	ANSWER_ASK,             /* instruction, text: the prompt, if there is one; echo */
	ANSWER_DISCONNECT       /* reason, text */
};

struct answer {
	enum answer_kind kind;
	bool partial;
	bool echo;
	uint32_t prompts; /* 0 or 1 */
	uint32_t reason;
	struct nacre_buffer methods; /* name-list */
	struct nacre_buffer instruction;
	struct nacre_buffer text;
	struct nacre_buffer banner; /* to be shown before; usually empty */
};
void answer_free(struct answer *answer);
void answer_encode(const struct answer *answer, struct nacre_buffer *buffer);
int answer_decode(struct nacre_reader *reader, struct answer *answer);

/* A frame under construction: put fields into the buffer that frame_begin() empties, then send. */
void frame_begin(struct nacre_buffer *frame, enum monitor_message type);
int frame_send(int socket, struct nacre_buffer *frame);
int frame_send_with(int socket, struct nacre_buffer *frame, const int *fds, size_t fd_count);
/* Receives a whole frame into "frame" (cleared first); *reader stands behind its type. */
int frame_receive(int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
    struct nacre_reader *reader);
int frame_receive_with(int socket, struct nacre_buffer *frame, size_t limit, uint8_t *type,
    struct nacre_reader *reader, int *fds, size_t *fd_count);
/* Asks for a signature over the socket to the monitor; for the network and session process. */
int monitor_ask_signature(int socket, struct nacre_span algorithm, struct nacre_span blob,
    struct nacre_span data, struct nacre_buffer *signature);

#endif
