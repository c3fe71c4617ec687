/*
 * The protocol that programs speak which share one connection (ControlMaster): OpenSSH's
 * PROTOCOL.mux, version 4, at both ends. The master holds the connection and listens on a Unix
 * socket; others ask it for sessions and forwardings, and pass it their descriptors.
 *
 * The first half, messages to bytes and back, does no I/O. The second is the socket.
 */
#ifndef NACRE_MUX_H
#define NACRE_MUX_H

#include <nacre/error.h>
#include <nacre/wire.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_MUX_VERSION 4
/* Longest packet that is taken, bytes without its length: a command and an environment fit. */
#define NACRE_MUX_PACKET_MAX ((size_t)256 * 1024)
/* Most descriptors that go with one message. */
#define NACRE_MUX_DESCRIPTORS 3

/* Numbers of messages; section 11 of the protocol. */
enum nacre_mux_kind {
	NACRE_MUX_HELLO = 0x00000001, /* value: version; rest: extensions, pairs of strings */
	/* From those that share; "id" is repeated in the answer. */
	NACRE_MUX_NEW_SESSION = 0x10000002, /* session; rest: environment, strings "NAME=VALUE" */
	NACRE_MUX_ALIVE_CHECK = 0x10000004,
	NACRE_MUX_TERMINATE = 0x10000005,
	NACRE_MUX_OPEN_FORWARD = 0x10000006,  /* forward */
	NACRE_MUX_CLOSE_FORWARD = 0x10000007, /* forward */
	NACRE_MUX_STDIO_FORWARD = 0x10000008, /* forward.connect_host and connect_port */
	NACRE_MUX_STOP_LISTENING = 0x10000009,
	NACRE_MUX_PROXY = 0x1000000f,
	/* For masters whose HELLO has the extension "info" with the value "0" (OpenSSH 10). */
	NACRE_MUX_INFO = 0x20000001, /* text: about what, "connection" or "channels" */
	/* From the master. */
	NACRE_MUX_OK = 0x80000001,
	NACRE_MUX_PERMISSION_DENIED = 0x80000002, /* text: why */
	NACRE_MUX_FAILURE = 0x80000003,           /* text: why */
	NACRE_MUX_EXIT_MESSAGE = 0x80000004,      /* id: the session; value: exit status */
	NACRE_MUX_ALIVE = 0x80000005,             /* value: process id */
	NACRE_MUX_SESSION_OPENED = 0x80000006,    /* value: the session */
	NACRE_MUX_REMOTE_PORT = 0x80000007,       /* value: the port that was chosen */
	NACRE_MUX_TTY_ALLOC_FAIL = 0x80000008,    /* id: the session */
	NACRE_MUX_PROXYING = 0x8000000f,
	NACRE_MUX_INFO_REPLY = 0x90000001 /* value: 1 if it is known; text: lines for people */
};
#define NACRE_MUX_INFO_EXTENSION "info"
#define NACRE_MUX_INFO_VERSION   "0"

enum nacre_mux_direction {
	NACRE_MUX_FORWARD_LOCAL = 1,
	NACRE_MUX_FORWARD_REMOTE = 2,
	NACRE_MUX_FORWARD_DYNAMIC = 3
};
/* In place of a port: the host is the path of a Unix socket. */
#define NACRE_MUX_PORT_PATH  0xfffffffeu
#define NACRE_MUX_ESCAPE_OFF 0xffffffffu

/* One message; what its kind does not have is zero. Spans are borrowed, and hostile when they were
 * decoded. */
struct nacre_mux_message {
	uint32_t kind, id, value;
	struct nacre_span text, rest;
	struct {
		bool terminal, x11, agent, subsystem;
		uint32_t escape; /* character, or NACRE_MUX_ESCAPE_OFF */
		struct nacre_span term, command;
	} session;
	struct {
		uint32_t direction; /* enum nacre_mux_direction, hostile */
		struct nacre_span listen_host, connect_host;
		uint32_t listen_port, connect_port; /* may exceed 65,535 */
	} forward;
};

/* Appends the message as a packet, its length in front. */
void nacre_mux_put(struct nacre_buffer *buffer, const struct nacre_mux_message *message);
/* Decodes the content of a packet, without its length. 0; NACRE_ERROR_FORMAT; or
 * NACRE_ERROR_UNSUPPORTED for a kind that is not known, with "kind" and (if there is one) "id"
 * set. */
int nacre_mux_decode(struct nacre_span packet, struct nacre_mux_message *message);
/* Takes the next packet's content off "input". True when it is all there; false with *error 0 while
 * bytes lack, or NACRE_ERROR_FORMAT when it is longer than NACRE_MUX_PACKET_MAX. */
bool nacre_mux_packet(struct nacre_span *input, struct nacre_span *packet, int *error);
/* How many descriptors follow a message, each with one byte of its own. */
size_t nacre_mux_descriptors(uint32_t kind);
/* The value of an extension in a HELLO's "rest"; false when it is not there. */
bool nacre_mux_extension(struct nacre_span rest, const char *name, struct nacre_span *value);

/* The socket --------------------------------------------------------------------------------- */

/* One end of a control connection: bytes and descriptors that came and were not taken yet. All zero
 * but for fd at first. */
struct nacre_mux_socket {
	int fd;
	struct nacre_buffer input;
	size_t taken; /* bytes of the message that was given last */
	int descriptors[2 * NACRE_MUX_DESCRIPTORS];
	size_t descriptor_count;
	bool flooded; /* more descriptors came than any message has */
};

/* Connects to the master at "path". 0; NACRE_ERROR_NOT_FOUND: no such socket; NACRE_ERROR_REFUSED:
 * nobody listens there; NACRE_ERROR_PERMISSION: whoever listens there is neither this user nor
 * root; NACRE_ERROR_ARGUMENT: the path is too long; NACRE_ERROR_SYSTEM. errno tells more. */
int nacre_mux_connect(const char *path, struct nacre_mux_socket *socket);
/* Sends packets, and behind them each descriptor with its byte. Waits when the socket is full. 0 or
 * NACRE_ERROR_CLOSED. */
int nacre_mux_send(const struct nacre_mux_socket *socket, struct nacre_span packets,
    const int *descriptors, size_t descriptor_count);
/* One read; "wait": blocks until there is something. Bytes read; 0: nothing there;
 * NACRE_ERROR_CLOSED. */
ssize_t nacre_mux_receive(struct nacre_mux_socket *socket, bool wait);
/* Takes the next message and its descriptors, which the caller then owns (close-on-exec). Its spans
 * are valid until the next call. 1; 0 while it is not complete; NACRE_ERROR_FORMAT, or
 * NACRE_ERROR_UNSUPPORTED as nacre_mux_decode(), when the message was passed over. */
int nacre_mux_take(struct nacre_mux_socket *socket, struct nacre_mux_message *message,
    int descriptors[NACRE_MUX_DESCRIPTORS]);
/* Closes it and what was not taken; fd becomes -1. */
void nacre_mux_close(struct nacre_mux_socket *socket);

/*
 * Has the master at "path" run a command, or a subsystem, on our three descriptors (standard input,
 * output and error), of which it gets copies: a program closes those that it does not use itself.
 * Waits until the session is open. 0, and *control is for nacre_mux_session_status() and
 * nacre_mux_close(); closing it ends the session. Errors as of nacre_mux_connect(), and
 * NACRE_ERROR_REFUSED, PROTOCOL and CLOSED; all but NOT_FOUND were logged.
 */
int nacre_mux_session_open(const char *path, const char *command, bool subsystem,
    const int descriptors[NACRE_MUX_DESCRIPTORS], struct nacre_mux_socket *control);
/* Waits until the session has ended and all of its output is written. Its exit status, or this. */
#define NACRE_MUX_NO_STATUS 255
int nacre_mux_session_status(struct nacre_mux_socket *control);

#ifdef __cplusplus
}
#endif
#endif
