/*
 * One end of an SSH-2 connection, without I/O: bytes in, bytes out, events out, calls in.
 * It holds no file descriptor, reads no clock and calls nobody back. RFC 4250 to 4254.
 *
 * The caller's loop:
 *
 *	for (;;) {
 *		while (nacre_session_next_event(session, now, &event))
 *			... act on event, answer its question, now or later ...
 *		... write nacre_session_output() to the socket, nacre_session_sent() ...
 *		... wait until the socket is readable (writable while output is left), or until
 *		    nacre_session_deadline() ...
 *		... read into nacre_session_input_room(), nacre_session_received() ...
 *	}
 *
 * Spans in an event point into the session and are valid until the next call of
 * nacre_session_next_event(), nacre_session_input_room() or nacre_session_free().
 * Times are milliseconds of any monotonic clock. All calls return 0 or a negative
 * enum nacre_error unless they say otherwise.
 */
#ifndef NACRE_SESSION_H
#define NACRE_SESSION_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_session;

enum nacre_role { NACRE_CLIENT, NACRE_SERVER };

/* Reason codes of SSH_MSG_DISCONNECT, RFC 4253 section 11.1. */
enum nacre_disconnect_reason {
	NACRE_DISCONNECT_HOST_NOT_ALLOWED = 1,
	NACRE_DISCONNECT_PROTOCOL_ERROR = 2,
	NACRE_DISCONNECT_KEY_EXCHANGE_FAILED = 3,
	NACRE_DISCONNECT_MAC_ERROR = 5,
	NACRE_DISCONNECT_COMPRESSION_ERROR = 6,
	NACRE_DISCONNECT_SERVICE_NOT_AVAILABLE = 7,
	NACRE_DISCONNECT_VERSION_NOT_SUPPORTED = 8,
	NACRE_DISCONNECT_HOST_KEY_NOT_VERIFIABLE = 9,
	NACRE_DISCONNECT_CONNECTION_LOST = 10,
	NACRE_DISCONNECT_BY_APPLICATION = 11,
	NACRE_DISCONNECT_TOO_MANY_CONNECTIONS = 12,
	NACRE_DISCONNECT_AUTH_CANCELLED_BY_USER = 13,
	NACRE_DISCONNECT_NO_MORE_AUTH_METHODS = 14,
	NACRE_DISCONNECT_ILLEGAL_USER_NAME = 15
};

/* Reason codes of SSH_MSG_CHANNEL_OPEN_FAILURE, RFC 4254 section 5.1. */
enum nacre_open_failure {
	NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED = 1,
	NACRE_OPEN_CONNECT_FAILED = 2,
	NACRE_OPEN_UNKNOWN_CHANNEL_TYPE = 3,
	NACRE_OPEN_RESOURCE_SHORTAGE = 4
};

/* The two streams of channel data: ordinary, and SSH_EXTENDED_DATA_STDERR. */
enum nacre_stream { NACRE_STREAM_DATA = 0, NACRE_STREAM_STDERR = 1 };

enum nacre_log_level {
	NACRE_LOG_QUIET,
	NACRE_LOG_FATAL,
	NACRE_LOG_ERROR,
	NACRE_LOG_INFO,
	NACRE_LOG_VERBOSE,
	NACRE_LOG_DEBUG1,
	NACRE_LOG_DEBUG2,
	NACRE_LOG_DEBUG3
};

/*
 * How a session is made. A name-list that is NULL means the library's default for that role.
 * All strings are copied.
 */
struct nacre_session_options {
	enum nacre_role role;
	const char *software;         /* softwareversion of our identification, e.g. "Nacre_0.1" */
	const char *version_addendum; /* comment of the identification, or NULL */
	const char *kex_algorithms;
	/* Client: what it accepts, in order of preference. Server: what its host keys can sign. */
	const char *host_key_algorithms;
	const char *ciphers_client_to_server, *ciphers_server_to_client;
	const char *macs_client_to_server, *macs_server_to_client;
	const char *compression; /* "none,zlib@openssh.com", ... */
	/* Client: send the first key-exchange message of our first algorithms at once (RFC 4253
	 * section 7: first_kex_packet_follows). It saves a round trip when the first names of both
	 * kex_algorithms and host_key_algorithms are the first ones of the server, too. */
	bool guess;
	/* Server: public key blobs of the host keys; host_key_algorithms says what they sign with,
	 * and NACRE_EVENT_SIGN asks for each signature. */
	const struct nacre_span *host_keys;
	size_t host_key_count;
	/* Server: value of the server-sig-algs extension (RFC 8308); NULL means the default. */
	const char *server_signature_algorithms;
	/* Server: file of group-exchange moduli in moduli(5) format, as text that the caller has
	 * read; NULL means built-in groups. Borrowed for the session's life. */
	struct nacre_span moduli;
	/* Smallest RSA host key (client) or modulus that is believed, bits; 0 means 1,024. */
	unsigned required_rsa_bits;
	/* Rekey after so many bytes in either direction, or seconds; 0: the cipher's default (RFC
	 * 4344) and no time limit. */
	uint64_t rekey_bytes;
	uint32_t rekey_seconds;
	/* Most verbose level for which NACRE_EVENT_LOG is produced. */
	enum nacre_log_level log_level;
	/* Channels the peer may have open at once; 0 means 65,536. */
	uint32_t channel_limit;
	/* Upper bound of one channel's receive window in bytes; 0 means the default, 64 MiB. */
	uint32_t window_limit;
};

/* Creates a session; its identification and KEXINIT (and guess) are ready to be sent at once. */
int nacre_session_new(
    const struct nacre_session_options *options, uint64_t now, struct nacre_session **session);
/* Wipes and frees; NULL is allowed. */
void nacre_session_free(struct nacre_session *session);

/* Bytes in and out -------------------------------------------------------------------------- */

/* Where received bytes go: room for at least one byte, at best for "*length" bytes. Returns NULL
 * without memory, or while so much is unread or unsent that the peer must wait (then *length is 0):
 * ask again when data was consumed or sent. */
uint8_t *nacre_session_input_room(struct nacre_session *session, size_t *length);
/* "length" bytes were put there. Zero means that the peer has closed the connection. */
void nacre_session_received(struct nacre_session *session, size_t length, uint64_t now);
/* What waits to be sent, as one span; empty when there is nothing. */
struct nacre_span nacre_session_output(const struct nacre_session *session);
/* The first "length" bytes of it were written to the peer. */
void nacre_session_sent(struct nacre_session *session, size_t length);
/*
 * When nacre_session_next_event() wants to be called again though no bytes came; UINT64_MAX: not.
 */
uint64_t nacre_session_deadline(const struct nacre_session *session);

/* Events ------------------------------------------------------------------------------------ */

enum nacre_event_kind {
	NACRE_EVENT_LOG = 1,    /* log: a line that a verbose program prints */
	NACRE_EVENT_IDENTIFIED, /* text: the peer's identification, without CR LF */
	NACRE_EVENT_PREAMBLE,   /* text: a line that the server sent before it */
	NACRE_EVENT_HOST_KEY,   /* client: is host_key trusted? nacre_session_trust_host_key() */
	NACRE_EVENT_SIGN,       /* sign.data is to be signed: nacre_session_signature() */
	NACRE_EVENT_KEYS_EXCHANGED,   /* complete, first or rekey: nacre_session_algorithms() */
	NACRE_EVENT_SERVICE_ACCEPTED, /* client: ssh-userauth is there */
	NACRE_EVENT_BANNER,           /* client: text (UTF-8, hostile) */
	NACRE_EVENT_AUTH_REPLY,       /* client: auth_reply */
	NACRE_EVENT_AUTH_REQUEST,     /* server: auth_request; answer by nacre_auth_...() */
	NACRE_EVENT_AUTH_RESPONSES,   /* server: info_response to nacre_auth_ask() */
	NACRE_EVENT_AUTHENTICATED,    /* both: channels may be opened now */
	NACRE_EVENT_CHANNEL_OPEN,     /* channel_open: accept or refuse */
	NACRE_EVENT_CHANNEL_OPENED,   /* ours was confirmed */
	NACRE_EVENT_CHANNEL_REFUSED,  /* ours was not: refused; the number is free again */
	NACRE_EVENT_CHANNEL_DATA,     /* stream has data: nacre_channel_data() */
	NACRE_EVENT_CHANNEL_WRITABLE, /* room again after nacre_channel_room() found none */
	NACRE_EVENT_CHANNEL_EOF, /* the peer sends no more data; comes after all data was read */
	NACRE_EVENT_CHANNEL_REQUEST, /* channel_request; answer when want_reply */
	NACRE_EVENT_CHANNEL_REPLY,   /* success: answer to our oldest unanswered request */
	NACRE_EVENT_CHANNEL_CLOSED,  /* both have closed; the number is free after this event */
	NACRE_EVENT_GLOBAL_REQUEST,  /* global_request; answer when want_reply, in order */
	NACRE_EVENT_GLOBAL_REPLY,    /* global_reply to our oldest unanswered request */
	NACRE_EVENT_PONG,            /* text: payload of our oldest nacre_session_ping() */
	NACRE_EVENT_DISCONNECTED     /* the end: disconnected; no event follows */
};

/* Answers of a server to an authentication request, in the order of the requests. */
enum nacre_auth_result {
	NACRE_AUTH_SUCCESS,
	NACRE_AUTH_FAILURE,         /* methods, partial_success */
	NACRE_AUTH_PUBLICKEY_OK,    /* the queried key would do: algorithm, blob */
	NACRE_AUTH_CHANGE_PASSWORD, /* prompt */
	NACRE_AUTH_INFO_REQUEST     /* name, instruction, prompts */
};

struct nacre_auth_prompt {
	struct nacre_span text; /* UTF-8, hostile */
	bool echo;
};

#define NACRE_AUTH_PROMPTS 64 /* more in one INFO_REQUEST end the connection */

enum nacre_auth_method {
	NACRE_METHOD_NONE,
	NACRE_METHOD_PUBLICKEY,
	NACRE_METHOD_PASSWORD,
	NACRE_METHOD_KEYBOARD_INTERACTIVE,
	NACRE_METHOD_HOSTBASED,
	NACRE_METHOD_OTHER
};

/* Requests that RFC 4254, RFC 4335 and OpenSSH's PROTOCOL define; others are NACRE_REQUEST_OTHER
 * with their name and undecoded payload. */
enum nacre_request_kind {
	NACRE_REQUEST_OTHER,
	NACRE_REQUEST_PTY,           /* pty */
	NACRE_REQUEST_X11,           /* x11 */
	NACRE_REQUEST_ENV,           /* env */
	NACRE_REQUEST_SHELL,         /* - */
	NACRE_REQUEST_EXEC,          /* text: command */
	NACRE_REQUEST_SUBSYSTEM,     /* text: name */
	NACRE_REQUEST_WINDOW_CHANGE, /* window */
	NACRE_REQUEST_XON_XOFF,      /* client_can_do */
	NACRE_REQUEST_SIGNAL,        /* text: name without SIG */
	NACRE_REQUEST_BREAK,         /* break_length */
	NACRE_REQUEST_EXIT_STATUS,   /* exit_status */
	NACRE_REQUEST_EXIT_SIGNAL,   /* exit_signal */
	NACRE_REQUEST_AGENT,         /* auth-agent-req@openssh.com or agent-req */
	NACRE_REQUEST_EOW,           /* eow@openssh.com: the peer reads no more */
	NACRE_REQUEST_KEEPALIVE      /* keepalive@openssh.com */
};

/* Types of channels that RFC 4254 and OpenSSH's PROTOCOL define; others are NACRE_CHANNEL_OTHER with
 * their undecoded payload. */
enum nacre_channel_kind {
	NACRE_CHANNEL_OTHER,
	NACRE_CHANNEL_SESSION,               /* - */
	NACRE_CHANNEL_DIRECT_TCPIP,          /* host, port: to connect to; originator */
	NACRE_CHANNEL_FORWARDED_TCPIP,       /* host, port: that was connected to; originator */
	NACRE_CHANNEL_DIRECT_STREAMLOCAL,    /* host: path of the socket to connect to */
	NACRE_CHANNEL_FORWARDED_STREAMLOCAL, /* host: path of the socket that was connected to */
	NACRE_CHANNEL_X11,                   /* originator */
	NACRE_CHANNEL_AGENT,                 /* - */
	NACRE_CHANNEL_TUNNEL                 /* tunnel: tun@openssh.com */
};

/* Global requests that RFC 4254 section 7 and OpenSSH's PROTOCOL define. */
enum nacre_global_kind {
	NACRE_GLOBAL_OTHER,
	NACRE_GLOBAL_TCPIP_FORWARD,             /* host, port: to listen at */
	NACRE_GLOBAL_CANCEL_TCPIP_FORWARD,      /* host, port */
	NACRE_GLOBAL_STREAMLOCAL_FORWARD,       /* host: path of the socket to listen at */
	NACRE_GLOBAL_CANCEL_STREAMLOCAL_FORWARD /* host: path */
};

/* The two kinds of network interface that tun@openssh.com joins, and "any" for its number. */
enum nacre_tunnel_mode { NACRE_TUNNEL_MODE_PACKETS = 1, NACRE_TUNNEL_MODE_FRAMES = 2 };
#define NACRE_TUNNEL_UNIT_ANY 0x7fffffffu

/* Size of a terminal, RFC 4254 section 6.2: characters, and pixels (0 if unknown). */
struct nacre_window_size {
	uint32_t columns, rows, width, height;
};

struct nacre_event {
	enum nacre_event_kind kind;
	uint32_t channel; /* our number of the channel, for every CHANNEL event */
	union {
		struct {
			enum nacre_log_level level;
			struct nacre_span text;
		} log;
		struct nacre_span text;
		struct {
			struct nacre_span blob;      /* public key or certificate */
			struct nacre_span algorithm; /* its negotiated signature algorithm */
		} host_key;
		struct {
			struct nacre_span blob;      /* public key that must sign */
			struct nacre_span algorithm; /* signature algorithm to use */
			struct nacre_span data;
			/* Server: data is an exchange hash; else userauth data. */
			bool exchange_hash;
		} sign;
		struct {
			bool first; /* not a rekey */
		} keys_exchanged;
		struct {
			uint32_t request; /* number that the request call gave */
			enum nacre_auth_result result;
			struct nacre_span methods; /* FAILURE: that can continue */
			bool partial_success;
			struct nacre_span algorithm, blob;   /* PUBLICKEY_OK */
			struct nacre_span prompt;            /* CHANGE_PASSWORD */
			struct nacre_span name, instruction; /* INFO_REQUEST */
			const struct nacre_auth_prompt *prompts;
			size_t prompt_count;
		} auth_reply;
		struct {
			enum nacre_auth_method method;
			struct nacre_span user, service, method_name;
			/* PUBLICKEY and HOSTBASED */
			bool has_signature;
			struct nacre_span algorithm, blob, signature, signed_data;
			struct nacre_span client_host, client_user; /* HOSTBASED */
			bool host_bound; /* publickey-hostbound-v00@openssh.com */
			/* PASSWORD */
			bool change;
			struct nacre_span password, new_password;
			/* KEYBOARD_INTERACTIVE */
			struct nacre_span devices;
		} auth_request;
		struct {
			const struct nacre_span *responses;
			size_t count;
		} auth_responses;
		struct {
			struct nacre_span type;
			struct nacre_span payload; /* type-specific data, undecoded */
			enum nacre_channel_kind kind;
			struct nacre_span host; /* or path */
			uint32_t port;          /* as the peer says: may exceed 65,535 */
			struct nacre_span originator;
			uint32_t originator_port;
			struct {
				uint32_t mode; /* enum nacre_tunnel_mode, hostile */
				uint32_t unit; /* number of the interface, or ..._UNIT_ANY */
			} tunnel;
		} channel_open;
		struct {
			uint32_t reason;
			struct nacre_span text;
		} refused;
		enum nacre_stream stream;
		struct {
			enum nacre_request_kind kind;
			struct nacre_span name;
			bool want_reply;
			struct nacre_span payload; /* request-specific data, undecoded */
			struct nacre_span text;
			struct {
				struct nacre_span term;
				struct nacre_window_size size;
				struct nacre_span modes; /* RFC 4254 section 8, encoded */
			} pty;
			struct {
				bool single;
				struct nacre_span protocol, cookie;
				uint32_t screen;
			} x11;
			struct {
				struct nacre_span name, value;
			} env;
			struct nacre_window_size window;
			bool client_can_do;
			uint32_t break_length; /* milliseconds */
			uint32_t exit_status;
			struct {
				struct nacre_span name;
				bool core_dumped;
				struct nacre_span message;
			} exit_signal;
		} channel_request;
		struct {
			bool success;
		} channel_reply;
		struct {
			struct nacre_span name;
			bool want_reply;
			struct nacre_span payload; /* undecoded */
			enum nacre_global_kind kind;
			struct nacre_span host; /* or path */
			uint32_t port;          /* as the peer says: may exceed 65,535 */
		} global_request;
		struct {
			bool success;
			struct nacre_span payload; /* see nacre_global_tcpip_forward() */
		} global_reply;
		struct {
			bool by_peer; /* the peer's DISCONNECT, or it closed the connection */
			int error;    /* enum nacre_error, NACRE_ERROR_CLOSED for an orderly end */
			uint32_t reason;        /* enum nacre_disconnect_reason */
			struct nacre_span text; /* hostile when by_peer */
		} disconnected;
	} u;
};

/*
 * Takes the next event. Returns true with *event filled, or false when nothing happens until more
 * bytes, more time or a call that answers a question. A pending question that blocks the protocol
 * (host key, signature of the exchange hash) holds back what comes behind it.
 */
bool nacre_session_next_event(
    struct nacre_session *session, uint64_t now, struct nacre_event *event);

/* Transport --------------------------------------------------------------------------------- */

/* Names that were negotiated; static or session storage, "" before. The MAC of an AEAD cipher is
 * "<implicit>". */
struct nacre_session_algorithms {
	const char *kex, *host_key;
	const char *cipher_client_to_server, *cipher_server_to_client;
	const char *mac_client_to_server, *mac_server_to_client;
	const char *compression_client_to_server, *compression_server_to_client;
	bool strict; /* kex-strict was agreed */
	bool guess_sent, guess_right;
};
void nacre_session_algorithms(
    const struct nacre_session *session, struct nacre_session_algorithms *algorithms);
/* The peer's lists of its first KEXINIT, for a client that remembers them: key exchange and host
 * key algorithms in its order. Empty before it came. */
struct nacre_span nacre_session_peer_kex_algorithms(const struct nacre_session *session);
struct nacre_span nacre_session_peer_host_key_algorithms(const struct nacre_session *session);
/* Session identifier: exchange hash of the first key exchange; empty before. */
struct nacre_span nacre_session_identifier(const struct nacre_session *session);
/* Client: the server's host key in the first key exchange, and its signature with it over the session
 * identifier, which proves to an agent what the session is (nacre_agent_session_bind()). */
struct nacre_span nacre_session_host_key(const struct nacre_session *session);
struct nacre_span nacre_session_host_key_signature(const struct nacre_session *session);
/* The peer's server-sig-algs (client side); empty when it sent none (yet). */
struct nacre_span nacre_session_server_signature_algorithms(const struct nacre_session *session);
/* True when the peer named this extension in SSH_MSG_EXT_INFO (RFC 8308). */
bool nacre_session_peer_extension(
    const struct nacre_session *session, const char *name, struct nacre_span *value);
/* Bytes on the wire since the beginning. */
void nacre_session_traffic(const struct nacre_session *session, uint64_t *sent, uint64_t *received);

/* Answer to NACRE_EVENT_HOST_KEY; the host key's signature itself was already verified. Not
 * trusted ends the session with HOST_KEY_NOT_VERIFIABLE. */
int nacre_session_trust_host_key(struct nacre_session *session, bool trusted);
/* Answer to the oldest NACRE_EVENT_SIGN: a signature blob (RFC 4253 section 6.6), or an empty span
 * for "cannot": a server's session then ends, a client's publickey request is dropped and reported
 * as an AUTH_REPLY of failure with empty methods. */
int nacre_session_signature(struct nacre_session *session, struct nacre_span signature);
/* Starts a key exchange now. */
int nacre_session_rekey(struct nacre_session *session);
/* Sends SSH_MSG_IGNORE / SSH_MSG_DEBUG / ping@openssh.com (answered by NACRE_EVENT_PONG). */
int nacre_session_ignore(struct nacre_session *session, struct nacre_span data);
int nacre_session_debug(struct nacre_session *session, bool always_display, const char *text);
int nacre_session_ping(struct nacre_session *session, struct nacre_span data);
/* Queues SSH_MSG_DISCONNECT; once the output is sent, the caller closes the socket. */
int nacre_session_disconnect(
    struct nacre_session *session, enum nacre_disconnect_reason reason, const char *text);
/* Milliseconds of the smallest round trip seen so far, UINT32_MAX if none. */
uint32_t nacre_session_round_trip(const struct nacre_session *session);
/* The program knows the path better, from the kernel: windows follow what it carries in that time.
 * A peer's own time to answer, or a guess, would make them larger than any path needs, and some
 * programs become slow with megabytes that they may send and cannot. */
void nacre_session_round_trip_known(struct nacre_session *session, uint32_t milliseconds);

/*
 * Moves a session between processes. Export is legal once AUTHENTICATED was taken, before any
 * channel exists and while no key exchange runs (else NACRE_ERROR_STATE; after the next
 * KEYS_EXCHANGED it is), and leaves the session unusable but for nacre_session_free(). The bytes
 * hold keys: keep them in memory only, wipe them. Import continues exactly there, unread input and
 * unsent output included. "options" as for nacre_session_new(), its algorithm lists are used for
 * later key exchanges.
 */
int nacre_session_export(struct nacre_session *session, struct nacre_buffer *state);
int nacre_session_import(const struct nacre_session_options *options, struct nacre_span state,
    uint64_t now, struct nacre_session **session);

/* User authentication, client (RFC 4252, 4256) ----------------------------------------------- */

/*
 * Names the user; every request below is for the service ssh-connection. Requests may be made at
 * any time, also before keys are exchanged, and several at once: they leave as early as the
 * protocol allows, and their answers come in order. Each call gives the number that its AUTH_REPLY
 * will bear in *request (may be NULL).
 */
int nacre_auth_user(struct nacre_session *session, const char *user);
/* The method "none" (RFC 4252 section 5.2): a server that wants more says what. */
int nacre_auth_none(struct nacre_session *session, uint32_t *request);
/* Asks whether a key would do, without a signature. */
int nacre_auth_query_publickey(struct nacre_session *session, const char *algorithm,
    struct nacre_span blob, uint32_t *request);
/* A signed request; NACRE_EVENT_SIGN asks for the signature when its data is known. Uses
 * publickey-hostbound-v00@openssh.com where the server offers it. */
int nacre_auth_publickey(struct nacre_session *session, const char *algorithm,
    struct nacre_span blob, uint32_t *request);
/* A request that the client's host signs (RFC 4252 section 9): "blob" is its public key or
 * certificate, "client_host" its name with a dot behind it, "client_user" who asks.
 * NACRE_EVENT_SIGN asks for the signature. */
int nacre_auth_hostbased(struct nacre_session *session, const char *algorithm,
    struct nacre_span blob, const char *client_host, const char *client_user, uint32_t *request);
/* "new_password" answers CHANGE_PASSWORD and is else NULL. Refused without an encrypting cipher. */
int nacre_auth_password(struct nacre_session *session, const char *password,
    const char *new_password, uint32_t *request);
/* RFC 4256; "devices" is a list of names that the server understands, mostly "". */
int nacre_auth_keyboard_interactive(
    struct nacre_session *session, const char *devices, uint32_t *request);
/* Answers an INFO_REQUEST; the server's next answer bears the same request number. */
int nacre_auth_respond(
    struct nacre_session *session, const struct nacre_span *responses, size_t count);

/* User authentication, server ---------------------------------------------------------------- */

/*
 * The answers to the pending AUTH_REQUEST or AUTH_RESPONSES; NACRE_ERROR_STATE when none is. The
 * next request is read only after one of them. Accept: the user is in. Reject: with the methods
 * that can continue, and whether this one succeeded but others must follow (RFC 4252 section 5.1).
 * Publickey ok: the key that was asked about would do. Change password: its time is over (section
 * 8). Ask: an INFO_REQUEST (RFC 4256 section 3.2) with up to NACRE_AUTH_PROMPTS prompts.
 */
int nacre_auth_accept(struct nacre_session *session);
int nacre_auth_reject(struct nacre_session *session, const char *methods, bool partial_success);
int nacre_auth_publickey_ok(struct nacre_session *session);
int nacre_auth_change_password(struct nacre_session *session, const char *prompt);
int nacre_auth_ask(struct nacre_session *session, const char *name, const char *instruction,
    const struct nacre_auth_prompt *prompts, size_t count);
/* Sends a banner; legal until AUTHENTICATED. */
int nacre_auth_banner(struct nacre_session *session, struct nacre_span text);

/* Channels (RFC 4254 section 5) --------------------------------------------------------------- */

/* Opens a channel; "payload" is the type-specific data. Its number is in *channel at once, OPENED
 * or REFUSED follows. */
int nacre_channel_open(
    struct nacre_session *session, const char *type, struct nacre_span payload, uint32_t *channel);
/* A channel of type "session", RFC 4254 section 6.1. */
int nacre_channel_open_session(struct nacre_session *session, uint32_t *channel);
/*
 * Opens a channel without type-specific data behind the signed publickey request, before the server
 * answered that, and lets nacre_channel_request...() be called at once: their messages name the
 * channel "peer_number" that the server is expected to choose. Saves two round trips.
 *
 * RFC 4252 section 6 has a server disconnect when such messages come before authentication has
 * succeeded. But it reads messages in order (RFC 4253 section 11 forbids to pass over them): if the
 * request succeeds, they come after success for it, and nothing is out of order. So this is for
 * callers that have verified the host key and that know from last time that this server accepts this
 * key, or else that it goes on when it does not. Until then no command is executed: the channel does
 * not exist.
 *
 * When the request is refused instead, the server either ends the connection (DISCONNECT), or, as
 * OpenSSH's does and ours announces (EXT_INFO "early-session@nacre"), answers each of the messages
 * with UNIMPLEMENTED: then CHANNEL_REFUSED follows the AUTH_REPLY, and authentication can go on.
 *
 * NACRE_ERROR_STATE unless exactly one request is unanswered, it is signed and it is already in the
 * output; also when another channel exists, or when compression would begin with success. Data can
 * be sent after OPENED. REFUSED comes also when the server did not know what to do with the message
 * (UNIMPLEMENTED) and yet accepts the request. A confirmation with another number ends the session:
 * DISCONNECTED, not by the peer, with NACRE_ERROR_NOT_FOUND.
 */
int nacre_channel_open_early(
    struct nacre_session *session, const char *type, uint32_t peer_number, uint32_t *channel);
/* The number that the peer gave to an open channel. NACRE_ERROR_NOT_FOUND: it is not open. */
int nacre_channel_peer_number(
    const struct nacre_session *session, uint32_t channel, uint32_t *peer_number);
/* direct-tcpip, RFC 4254 section 7.2. */
int nacre_channel_open_direct_tcpip(struct nacre_session *session, const char *host, uint16_t port,
    const char *originator, uint16_t originator_port, uint32_t *channel);
/* forwarded-tcpip, RFC 4254 section 7.2: "host" and "port" are those of the tcpip-forward request. */
int nacre_channel_open_forwarded_tcpip(struct nacre_session *session, const char *host,
    uint16_t port, const char *originator, uint16_t originator_port, uint32_t *channel);
/* direct-streamlocal@openssh.com and forwarded-streamlocal@openssh.com: "path" of a Unix socket. */
int nacre_channel_open_direct_streamlocal(
    struct nacre_session *session, const char *path, uint32_t *channel);
int nacre_channel_open_forwarded_streamlocal(
    struct nacre_session *session, const char *path, uint32_t *channel);
/* x11, RFC 4254 section 6.3.2: who connected to the display. */
int nacre_channel_open_x11(struct nacre_session *session, const char *originator,
    uint16_t originator_port, uint32_t *channel);
/* auth-agent@openssh.com. */
int nacre_channel_open_agent(struct nacre_session *session, uint32_t *channel);
/* tun@openssh.com: "unit" is the number of the peer's interface. */
int nacre_channel_open_tunnel(
    struct nacre_session *session, enum nacre_tunnel_mode mode, uint32_t unit, uint32_t *channel);
/* Answers to NACRE_EVENT_CHANNEL_OPEN, at any later time. */
int nacre_channel_accept(struct nacre_session *session, uint32_t channel);
int nacre_channel_refuse(struct nacre_session *session, uint32_t channel,
    enum nacre_open_failure reason, const char *text);

/*
 * Sending without a copy: room returns where up to *length bytes may be put (a packet under
 * construction), NULL with *length 0 when the window, a rekey or unsent output leaves none:
 * CHANNEL_WRITABLE follows. Commit sends the first "length" bytes of it (0: none). Nothing else of
 * the session may be called between the two.
 */
uint8_t *nacre_channel_room(
    struct nacre_session *session, uint32_t channel, enum nacre_stream stream, size_t *length);
int nacre_channel_commit(struct nacre_session *session, uint32_t channel, size_t length);
/* Copies as much of "data" as there is room for; returns how much (may be 0). */
size_t nacre_channel_write(struct nacre_session *session, uint32_t channel,
    enum nacre_stream stream, struct nacre_span data);
/* How many bytes the peer's window still takes. */
uint32_t nacre_channel_send_window(const struct nacre_session *session, uint32_t channel);

/*
 * Received data that is not consumed yet, the oldest contiguous part. Right after CHANNEL_DATA it
 * lies in the receive buffer; what is left at the next nacre_session_next_event() is kept aside,
 * within the window, and costs a copy. Consuming opens the window to the peer again.
 */
struct nacre_span nacre_channel_data(
    struct nacre_session *session, uint32_t channel, enum nacre_stream stream);
int nacre_channel_consume(
    struct nacre_session *session, uint32_t channel, enum nacre_stream stream, size_t length);
/* Drops all data of the channel from now on (nobody reads it any more); the window stays open. */
int nacre_channel_discard(struct nacre_session *session, uint32_t channel);

/* EOF after all committed data; close, after which only CLOSED comes for the channel. RFC 4254
 * section 5.3. */
int nacre_channel_eof(struct nacre_session *session, uint32_t channel);
int nacre_channel_close(struct nacre_session *session, uint32_t channel);
/* True when EOF was sent (or received, by_peer). */
bool nacre_channel_at_eof(const struct nacre_session *session, uint32_t channel, bool by_peer);
/* The caller's own pointer for a channel. */
void nacre_channel_set_context(struct nacre_session *session, uint32_t channel, void *context);
void *nacre_channel_context(const struct nacre_session *session, uint32_t channel);
/* Channels that are open or opening. */
size_t nacre_session_channel_count(const struct nacre_session *session);

/*
 * Channel requests (RFC 4254 section 6). Those with want_reply are answered in order by
 * CHANNEL_REPLY; request_reply answers the peer's oldest request that wants a reply. The ones with
 * a name of their own encode what enum nacre_request_kind lists.
 */
int nacre_channel_request(struct nacre_session *session, uint32_t channel, const char *name,
    bool want_reply, struct nacre_span payload);
int nacre_channel_request_reply(struct nacre_session *session, uint32_t channel, bool success);
/* "modes" as nacre_terminal_modes_encode() gives them. */
int nacre_channel_request_pty(struct nacre_session *session, uint32_t channel, bool want_reply,
    const char *term, const struct nacre_window_size *size, struct nacre_span modes);
int nacre_channel_request_env(
    struct nacre_session *session, uint32_t channel, const char *name, const char *value);
int nacre_channel_request_shell(struct nacre_session *session, uint32_t channel, bool want_reply);
int nacre_channel_request_exec(
    struct nacre_session *session, uint32_t channel, bool want_reply, const char *command);
int nacre_channel_request_subsystem(
    struct nacre_session *session, uint32_t channel, bool want_reply, const char *name);
int nacre_channel_request_window_change(
    struct nacre_session *session, uint32_t channel, const struct nacre_window_size *size);
int nacre_channel_request_signal(struct nacre_session *session, uint32_t channel, const char *name);
int nacre_channel_request_break(
    struct nacre_session *session, uint32_t channel, bool want_reply, uint32_t milliseconds);
int nacre_channel_request_exit_status(
    struct nacre_session *session, uint32_t channel, uint32_t status);
int nacre_channel_request_exit_signal(struct nacre_session *session, uint32_t channel,
    const char *name, bool core_dumped, const char *message);
int nacre_channel_request_agent(struct nacre_session *session, uint32_t channel, bool want_reply);
/* x11-req, RFC 4254 section 6.3.1; "cookie" is hexadecimal. "single": one connection only. */
int nacre_channel_request_x11(struct nacre_session *session, uint32_t channel, bool want_reply,
    bool single, const char *protocol, const char *cookie, uint32_t screen);
int nacre_channel_request_eow(struct nacre_session *session, uint32_t channel);
/* Global requests (RFC 4254 section 4), and the answer to the peer's oldest that wants a reply. */
int nacre_global_request(
    struct nacre_session *session, const char *name, bool want_reply, struct nacre_span payload);
int nacre_global_request_reply(
    struct nacre_session *session, bool success, struct nacre_span payload);
/* tcpip-forward and its end, RFC 4254 section 7.1, with want_reply: the peer is to listen at "host"
 * ("": everywhere, "localhost": its loopback, or an address) and "port". For port 0 the peer chooses
 * one, and the payload of the successful GLOBAL_REPLY is its number (uint32). */
int nacre_global_tcpip_forward(struct nacre_session *session, const char *host, uint16_t port);
int nacre_global_cancel_tcpip_forward(
    struct nacre_session *session, const char *host, uint16_t port);
/* streamlocal-forward@openssh.com and its end, with want_reply: the peer is to listen at a path. */
int nacre_global_streamlocal_forward(struct nacre_session *session, const char *path);
int nacre_global_cancel_streamlocal_forward(struct nacre_session *session, const char *path);
/* no-more-sessions@openssh.com. On the server's session it is enforced by the library. */
int nacre_session_no_more_sessions(struct nacre_session *session);

#ifdef __cplusplus
}
#endif
#endif
