/*
 * Packet ciphers (RFC 4253 section 6.3, RFC 4344, RFC 5647, chacha20-poly1305@openssh.com) as a
 * table: one row an algorithm. A cipher object works in one direction for one set of keys.
 */
#ifndef CRYPTO_CIPHER_H
#define CRYPTO_CIPHER_H

#include <nacre/error.h>
#include <nacre/wire.h>

struct cipher;

struct cipher_algorithm {
	const char *name;
	size_t key_length;
	size_t iv_length;
	size_t block_length;  /* packets are padded to it; at least 8 */
	size_t tag_length;    /* 0: not an AEAD, a MAC is negotiated beside */
	bool length_in_clear; /* AES-GCM: the packet length is associated data, not encrypted */
	bool by_default;      /* offered without being asked for */
	/* Bytes after which RFC 4344 section 3 and the birthday bound want new keys. */
	uint64_t rekey_bytes;
	const struct cipher_functions *functions; /* private to crypto/ */
	const char *backend_name;                 /* OpenSSL's name for it */
};

/* The row for a name, or NULL. */
const struct cipher_algorithm *cipher_find(struct nacre_span name);
/* All rows in order of preference; *count entries. */
const struct cipher_algorithm *cipher_table(size_t *count);

/* Creates a cipher; key and iv are copied. */
int cipher_new(const struct cipher_algorithm *algorithm, bool encrypt, const uint8_t *key,
    const uint8_t *iv, struct cipher **cipher);
void cipher_free(struct cipher *cipher);

/*
 * AEAD ciphers. "packet" is the 4-byte packet_length field followed by packet_length bytes, in
 * all "length" bytes; the tag stands or is written right behind it. The nonce follows from
 * "sequence" (chacha20-poly1305) or the cipher's own counter (AES-GCM).
 */
int cipher_seal(struct cipher *cipher, uint32_t sequence, uint8_t *packet, size_t length);
/* Learns packet_length from its first 4 bytes (they stay as they are). It is not yet authentic. */
int cipher_packet_length(
    struct cipher *cipher, uint32_t sequence, const uint8_t *bytes, uint32_t *packet_length);
/* Authenticates, then decrypts in place. NACRE_ERROR_INTEGRITY when the tag is wrong. */
int cipher_open(struct cipher *cipher, uint32_t sequence, uint8_t *packet, size_t length);

/*
 * AEAD ciphers outside of packets (key files, where the sequence number is 0 and nothing is
 * associated data): "length" bytes are en- or decrypted in place, the tag stands behind them.
 */
int cipher_seal_data(struct cipher *cipher, uint8_t *data, size_t length);
int cipher_open_data(struct cipher *cipher, uint8_t *data, size_t length);

/* Other ciphers: en- or decrypts "length" bytes (a multiple of block_length) in place. */
int cipher_crypt(struct cipher *cipher, uint8_t *data, size_t length);

/* Appends what cipher_import() needs to go on in another process (keys: a secret). */
int cipher_export(const struct cipher *cipher, struct nacre_buffer *state);
int cipher_import(const struct cipher_algorithm *algorithm, bool encrypt,
    struct nacre_reader *state, struct cipher **cipher);

#endif
