/*
 * The transport layer for the layers above it (RFC 4253): one object that takes received bytes,
 * hands out the payloads of messages that are not its own, and takes payloads to send. The session
 * (connection/session.c) drives it; userauth/ and connection/ only send and fail through it.
 */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include <nacre/session.h>

struct transport;

int transport_new(
    const struct nacre_session_options *options, uint64_t now, struct transport **transport);
void transport_free(struct transport *transport);

/* The caller's loop: see nacre_session_input_room() and the calls behind it. */
uint8_t *transport_input_room(struct transport *transport, size_t *length);
void transport_received(struct transport *transport, size_t length, uint64_t now);
struct nacre_span transport_output(const struct transport *transport);
void transport_sent(struct transport *transport, size_t length);
uint64_t transport_deadline(const struct transport *transport);

/* What <nacre/session.h> says of the calls of these names. */
void transport_algorithms(
    const struct transport *transport, struct nacre_session_algorithms *algorithms);
struct nacre_span transport_peer_kex_algorithms(const struct transport *transport);
struct nacre_span transport_peer_host_key_algorithms(const struct transport *transport);
void transport_traffic(const struct transport *transport, uint64_t *sent, uint64_t *received);
int transport_trust_host_key(struct transport *transport, bool trusted);
int transport_signature(struct transport *transport, struct nacre_span signature);
int transport_rekey(struct transport *transport);
int transport_ignore(struct transport *transport, struct nacre_span data);
int transport_debug(struct transport *transport, bool always_display, const char *text);
int transport_ping(struct transport *transport, struct nacre_span data);
int transport_disconnect(
    struct transport *transport, enum nacre_disconnect_reason reason, const char *text);

/* True when the peer's identification names software that begins so ("dropbear_"). */
bool transport_peer_is(const struct transport *transport, const char *software);
enum nacre_role transport_role(const struct transport *transport);
/* The time of the newest call from outside, milliseconds. */
uint64_t transport_now(const struct transport *transport);

/*
 * The next thing that happened. TRANSPORT_MESSAGE: *message is the type of a message for the layers
 * above (5, 6 and 50 to 127) and *payload what follows the type byte, valid until the next call.
 * TRANSPORT_EVENT: *event is filled. TRANSPORT_IDLE: more input, time or an answer is needed.
 */
enum transport_next { TRANSPORT_IDLE, TRANSPORT_EVENT, TRANSPORT_MESSAGE };
enum transport_next transport_next(struct transport *transport, uint64_t now,
    struct nacre_event *event, uint8_t *message, struct nacre_reader *payload);

/*
 * Sending a message: begin gives a buffer that already holds the type byte, the caller puts the
 * fields, end encrypts it into the output. Before the first NEWKEYS and during a key exchange the
 * message waits and leaves behind NEWKEYS, in order. end returns an error when a put failed.
 */
struct nacre_buffer *transport_begin(struct transport *transport, uint8_t message);
int transport_end(struct transport *transport);

/*
 * Sending bulk data without a copy. *length is, in: how many bytes of data are wanted at most; out:
 * how many there is room for. room returns where "prefix" bytes of message header (type byte
 * included) and then those bytes of data go, contiguous, in the packet under construction;
 * NULL when a key exchange is under way, compression is on (then use begin/end), or the unsent
 * output has reached its bound. commit sends the message of "length" bytes in all (prefix
 * included); 0 gives it up.
 */
uint8_t *transport_room(struct transport *transport, size_t prefix, size_t *length);
int transport_commit(struct transport *transport, size_t length);
/* True when unsent output is below its bound and no key exchange holds data back. */
bool transport_can_send_bulk(const struct transport *transport);
/* True when compression is active for sending. */
bool transport_compresses(const struct transport *transport);

/* Ends the connection because of the peer: queues DISCONNECT with this reason, keeps the message
 * for the DISCONNECTED event, and returns "error" (so: return transport_fail(...)). */
int transport_fail(struct transport *transport, int error, enum nacre_disconnect_reason reason,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
bool transport_failed(const struct transport *transport);
/* Adds a line for NACRE_EVENT_LOG if the session's level asks for it; the queue is bounded. */
void transport_log(struct transport *transport, enum nacre_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Answers the message just received with SSH_MSG_UNIMPLEMENTED. */
void transport_unimplemented(struct transport *transport);

/* True once the first key exchange is complete in both directions: what the upper layers want to
 * say leaves now, and what the peer said with its NEWKEYS has been read. */
bool transport_established(const struct transport *transport);
/* Session identifier: empty until it is known. transport_encrypted(): what we send from now on
 * leaves (if need be behind our NEWKEYS) through a cipher, and what came last came so. */
struct nacre_span transport_session_identifier(const struct transport *transport);
bool transport_encrypted(const struct transport *transport);
/* The server's host key of the first exchange, for publickey-hostbound-v00. */
struct nacre_span transport_host_key(const struct transport *transport);
/* Client: the server's signature with it over the session identifier. */
struct nacre_span transport_host_key_signature(const struct transport *transport);
/* Tells clients, in EXT_INFO, that messages of the connection protocol that come before they are
 * authenticated are answered with UNIMPLEMENTED and do not end the connection. */
#define EXTENSION_EARLY_SESSION "early-session@nacre"
/* Server: the client was told so. */
bool transport_early_session_announced(const struct transport *transport);
/* The peer named this extension in EXT_INFO. */
bool transport_peer_extension(
    const struct transport *transport, const char *name, struct nacre_span *value);
/* Tells the transport that authentication succeeded: delayed compression starts (for the sender of
 * USERAUTH_SUCCESS behind it, for the receiver with the next packet). */
int transport_authenticated(struct transport *transport);
/* Smallest round trip seen, milliseconds; UINT32_MAX if none. */
uint32_t transport_round_trip(const struct transport *transport);
void transport_round_trip_known(struct transport *transport, uint32_t milliseconds);
/* Watches the newest message that was sent: transport_watched_refused() tells whether the peer
 * answered it with UNIMPLEMENTED. Only while no key exchange runs, when messages leave in order. */
void transport_watch(struct transport *transport);
bool transport_watched_refused(const struct transport *transport);
/* While "held", no further packet is read from the input; events go on. */
void transport_hold(struct transport *transport, bool held);

/* Moving to another process: see nacre_session_export(). Refused during a key exchange
 * (NACRE_ERROR_STATE: again after KEYS_EXCHANGED). */
int transport_export(struct transport *transport, struct nacre_buffer *state);
int transport_import(const struct nacre_session_options *options, struct nacre_reader *state,
    uint64_t now, struct transport **transport);

#endif
