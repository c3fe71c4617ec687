/*
 * The inside of a transport, shared by the files of this folder: the state of one end, of each
 * direction's packets, of a key exchange under way, and the calls between the files.
 */
#ifndef TRANSPORT_STATE_H
#define TRANSPORT_STATE_H

#include <crypto/cipher.h>
#include <crypto/hash.h>
#include <crypto/kex.h>
#include <crypto/mac.h>
#include <transport/transport.h>

/* Messages of RFC 4253 section 12, RFC 4419, RFC 5656, RFC 8308 and ping@openssh.com. */
enum message {
	MESSAGE_DISCONNECT = 1,
	MESSAGE_IGNORE = 2,
	MESSAGE_UNIMPLEMENTED = 3,
	MESSAGE_DEBUG = 4,
	MESSAGE_SERVICE_REQUEST = 5,
	MESSAGE_SERVICE_ACCEPT = 6,
	MESSAGE_EXT_INFO = 7,
	MESSAGE_KEXINIT = 20,
	MESSAGE_NEWKEYS = 21,
	MESSAGE_KEX_INIT = 30,
	MESSAGE_KEX_REPLY = 31, /* KEX_DH_GEX: the group */
	MESSAGE_GEX_INIT = 32,
	MESSAGE_GEX_REPLY = 33,
	MESSAGE_GEX_REQUEST = 34,
	MESSAGE_KEX_LAST = 49,
	MESSAGE_USERAUTH_SUCCESS = 52,
	MESSAGE_PING = 192,
	MESSAGE_PONG = 193
};

/* The name-lists of KEXINIT, in their order. */
enum slot {
	SLOT_KEX,
	SLOT_HOST_KEY,
	SLOT_CIPHER, /* client to server, then server to client */
	SLOT_MAC = 4,
	SLOT_COMPRESSION = 6,
	SLOT_LANGUAGE = 8,
	SLOT_COUNT = 10
};
#define SLOT_OWN_COUNT SLOT_LANGUAGE /* languages are always empty */

enum direction { CLIENT_TO_SERVER, SERVER_TO_CLIENT };

#define PACKET_HEADER      5 /* packet_length and padding_length */
#define PACKET_OVERHEAD    (PACKET_HEADER + 255 + MAC_LENGTH_MAX)
#define PACKET_LIMIT       ((uint32_t)262144) /* of packet_length, once keys are in force */
#define PACKET_LIMIT_CLEAR ((uint32_t)35000)  /* before: RFC 4253 section 6.1 */
#define PAYLOAD_LIMIT      ((size_t)PACKET_LIMIT - 512)
#define PACKETS_REKEY      ((uint64_t)1 << 31) /* RFC 4344 section 3.1 */
#define ALGORITHM_NAME_MAX 80
#define IDENTIFICATION_MAX 255
#define PING_MAX           64

struct compression;

/* Packets of one direction. Keys are replaced by each NEWKEYS, the sequence number goes on. */
struct packet_side {
	const struct cipher_algorithm *cipher_algorithm; /* NULL: no keys yet */
	struct cipher *cipher;
	const struct mac_algorithm *mac_algorithm; /* NULL with an AEAD cipher */
	struct mac *mac;
	uint8_t mac_key[MAC_LENGTH_MAX];
	uint32_t sequence;
	uint64_t packets, bytes;         /* under these keys */
	bool compresses;                 /* zlib@openssh.com was negotiated */
	bool compressing;                /* and is in use, since authentication */
	struct compression *compression; /* its state, made on first use */
};

struct negotiated {
	const struct kex_method *kex;
	char host_key[ALGORITHM_NAME_MAX];
	const struct cipher_algorithm *cipher[2]; /* by enum direction */
	const struct mac_algorithm *mac[2];
	bool compress[2];
};

struct kexinit {
	struct nacre_span lists[SLOT_COUNT];
	bool follows;
};

enum exchange_step {
	STEP_KEXINIT,  /* the peer's KEXINIT has not come */
	STEP_INIT,     /* server: waits for the client's value, or group request */
	STEP_GROUP,    /* client: waits for the group */
	STEP_GEX_INIT, /* server: has sent the group */
	STEP_REPLY,    /* client: waits for the server's value */
	STEP_QUESTION, /* the program is asked: HOST_KEY or SIGN */
	STEP_NEWKEYS   /* keys are made */
};

/* A key exchange from its first KEXINIT to its second NEWKEYS. */
struct exchange {
	enum exchange_step step;
	bool first;
	bool ignore_next; /* the peer's guess was wrong: its packet is not for us */
	bool sent_newkeys, received_newkeys;
	const struct kex_method *guess; /* whose first message has been sent unasked, or NULL */
	struct nacre_buffer own_kexinit, peer_kexinit; /* payloads */
	struct negotiated chosen;
	char signature_name[ALGORITHM_NAME_MAX];
	struct kex_agreement *agreement;
	struct nacre_buffer own_public;
	struct nacre_buffer peer_public;
	struct nacre_buffer group;    /* group exchange: its part of the exchange hash */
	struct nacre_buffer host_key; /* blob */
	struct nacre_buffer secret;   /* K, encoded as it enters the hash */
	uint8_t hash[HASH_LENGTH_MAX];
	struct packet_side send, receive; /* the next keys */
	uint64_t started;
};

/* Received bytes: those from start to end are unread. Packets are opened in place. */
struct input {
	uint8_t *data;
	size_t start, end, capacity;
	size_t wanted;          /* size of the packet at start, when known */
	uint32_t packet_length; /* of that packet; 0: not known yet */
	size_t discard;         /* bytes to swallow before the MAC failure is told */
	bool grow;              /* the last read filled all its room */
	bool closed;
};

enum ending { ENDING_NONE, ENDING_UNTOLD, ENDING_TOLD };

struct transport {
	uint64_t now;
	enum nacre_role role;
	enum nacre_log_level log_level;
	unsigned required_rsa_bits;
	unsigned preamble_lines;
	uint32_t round_trip;

	/* How it ended. */
	uint32_t end_reason;
	int end_error;
	enum ending ending;
	bool end_by_peer;

	bool may_guess;
	bool established;
	bool strict, guess_sent, guess_right;
	bool authenticated;
	bool held;

	/* What the caller wants. */
	char *lists[SLOT_OWN_COUNT];
	struct nacre_buffer *host_keys;
	size_t host_key_count;
	char *server_signature_algorithms;
	struct nacre_span moduli;
	uint64_t rekey_bytes;
	uint64_t rekey_milliseconds;

	struct input input;
	struct nacre_buffer output;
	struct nacre_buffer message; /* under construction by transport_begin() */
	/* A packet's payload on its way out, or inflated coming in. */
	struct nacre_buffer compressed;
	struct nacre_buffer inflated;
	struct nacre_buffer queue; /* messages that wait for NEWKEYS: string each */
	struct packet_side send, receive;
	size_t room; /* bytes transport_room() gave, 0: none */
	uint8_t padding[256];
	size_t padding_left;
	uint64_t sent_total, received_total;
	uint64_t active; /* when bytes last came or went: for giving memory back */

	char *identification, *peer_identification;
	bool watched, watched_refused;
	uint32_t watched_sequence;
	struct exchange *exchange; /* NULL: none is under way */
	struct negotiated chosen;  /* of the last complete exchange */
	uint64_t keys_time;
	uint8_t session_identifier[HASH_LENGTH_MAX];
	size_t session_identifier_length;
	struct nacre_buffer host_key;           /* the server's, of the first exchange */
	struct nacre_buffer host_key_signature; /* client: over the session identifier */
	char *peer_kex_algorithms, *peer_host_key_algorithms;
	struct nacre_buffer extensions; /* pairs of strings from the peer's EXT_INFO */
	uint64_t pings[PING_MAX];       /* when they left */
	size_t ping_first, ping_count;

	struct nacre_buffer events, event_text;
	struct nacre_buffer end_text;
};

/* transport.c: a transport that has not said anything. */
int transport_create(
    const struct nacre_session_options *options, uint64_t now, struct transport **result);

/* identification.c: 1 when the peer's identification is there, 0: more bytes, or failed. */
int identification_new(const struct nacre_session_options *options, char **identification);
void identification_send(struct transport *transport);
int identification_receive(struct transport *transport);

/* input.c */
void input_free(struct input *input);
void input_consume(struct input *input, size_t length);
bool input_reserve(struct input *input, size_t capacity);

/* packet.c: seals the payload that stands behind PACKET_HEADER in the output's room. */
int packet_seal(struct transport *transport, uint8_t *packet, size_t payload_length);
/* 1 with *payload, 0: more bytes, or an error after transport_fail(). */
int packet_open(struct transport *transport, struct nacre_span *payload);
void packet_side_free(struct packet_side *side);
/* Bytes after which the keys of a direction are changed. */
uint64_t packet_side_limit(const struct transport *transport, const struct packet_side *side);

/* output.c */
/* Sends one message at once, past any waiting ones; error when the peer does not read. */
int output_message(struct transport *transport, struct nacre_span payload);
/* Sends transport->message as it stands, past any waiting ones. */
int output_urgent(struct transport *transport);
/* True while messages of the upper layers must wait for NEWKEYS. */
bool output_waits(const struct transport *transport);
int output_flush_queue(struct transport *transport);

/* compression.c: appends to "out". */
int compression_deflate(struct packet_side *side, struct nacre_span in, struct nacre_buffer *out);
int compression_inflate(struct packet_side *side, struct nacre_span in, struct nacre_buffer *out);
void compression_free(struct compression *compression);

/* negotiation.c */
/* Builds our KEXINIT's payload; "follows" as it says. */
int kexinit_encode(
    struct transport *transport, bool first, bool follows, struct nacre_buffer *payload);
/* Decodes a KEXINIT payload, type byte included; false when malformed. */
bool kexinit_decode(struct nacre_span payload, struct kexinit *kexinit);
/* RFC 4253 section 7.1: fills *chosen, or fails the transport. */
int negotiate(struct transport *transport, const struct kexinit *client,
    const struct kexinit *server, struct negotiated *chosen);
bool guess_agrees(const struct kexinit *client, const struct kexinit *server);
/* The key format that a host key algorithm signs with, and the name in its signatures. */
void host_key_format(struct nacre_span algorithm, char format[ALGORITHM_NAME_MAX]);
void host_key_signature_name(struct nacre_span algorithm, char name[ALGORITHM_NAME_MAX]);

/* exchange.c */
int exchange_start(struct transport *transport);
void exchange_free(struct transport *transport);
int exchange_receive_kexinit(struct transport *transport, struct nacre_span payload);
int exchange_receive_newkeys(struct transport *transport, struct nacre_reader *payload);
/* Both sides' values and the host key are there: K to exchange hash. */
int exchange_compute_hash(struct transport *transport, struct nacre_span secret);
/* Makes the keys and sends our NEWKEYS. */
int exchange_take_keys(struct transport *transport);
int exchange_malformed(struct transport *transport, const char *what);
int exchange_crypto_failed(struct transport *transport, int error, const char *what);

/* exchange_client.c, exchange_server.c: messages 30 to 34. */
int exchange_client_guess(struct transport *transport);
int exchange_client_start(struct transport *transport);
int exchange_client_message(
    struct transport *transport, uint8_t message, struct nacre_reader *payload);
int exchange_server_message(
    struct transport *transport, uint8_t message, struct nacre_reader *payload);

/* moduli.c: a group of about "bits" between the bounds; *prime and *generator are appended. */
int moduli_choose(struct nacre_span moduli, uint32_t least, uint32_t bits, uint32_t most,
    struct nacre_buffer *prime, struct nacre_buffer *generator);

/* keys.c: the ciphers and MACs that follow from an exchange. */
int keys_make(struct transport *transport, struct exchange *exchange);
int keys_of_algorithms(struct packet_side *side, bool encrypt, const uint8_t *key,
    const uint8_t *iv, const uint8_t *mac_key);

/* extension.c: RFC 8308. */
int extension_send(struct transport *transport);
int extension_receive(struct transport *transport, struct nacre_reader *payload);

/* messages.c: everything that is not for the layers above; 0 or an error after failing. */
int message_receive(struct transport *transport, struct nacre_span payload);

/* event.c */
void event_put(struct transport *transport, enum nacre_event_kind kind, uint8_t detail,
    struct nacre_span text);
bool event_take(struct transport *transport, struct nacre_event *event);
/* The end without a DISCONNECT of ours. */
void event_end(
    struct transport *transport, bool by_peer, int error, uint32_t reason, struct nacre_span text);

#endif
