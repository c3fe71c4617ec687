/* The format of key revocation lists (OpenSSH's PROTOCOL.krl), and reading one item by item. */
#ifndef KEY_KRL_H
#define KEY_KRL_H

#include <nacre/krl.h>

#define KRL_MAGIC   0x5353484b524c0a00ULL /* "SSHKRL\n\0" */
#define KRL_VERSION 1

enum krl_section {
	KRL_SECTION_CERTIFICATES = 1,
	KRL_SECTION_KEYS = 2,
	KRL_SECTION_SHA1 = 3,
	KRL_SECTION_SIGNATURE = 4,
	KRL_SECTION_SHA256 = 5,
	KRL_SECTION_EXTENSION = 255
};

/* Within KRL_SECTION_CERTIFICATES. */
enum krl_certificates {
	KRL_SERIAL_LIST = 0x20,
	KRL_SERIAL_RANGE = 0x21,
	KRL_SERIAL_BITMAP = 0x22,
	KRL_KEY_ID = 0x23,
	KRL_CERTIFICATE_EXTENSION = 0x39
};

enum krl_kind {
	KRL_ITEM_KEY,
	KRL_ITEM_SHA1,
	KRL_ITEM_SHA256,
	KRL_ITEM_SERIALS,
	KRL_ITEM_BITMAP,
	KRL_ITEM_KEY_ID
};

struct krl_item {
	enum krl_kind kind;
	struct nacre_span authority; /* of serials and key ids; empty: any */
	struct nacre_span data;      /* blob, digest, key id, or the bitmap's bytes, big-endian */
	uint64_t first, last;        /* serials; a bitmap's lowest bit stands for "first" */
};

struct krl_header {
	uint64_t version, generated;
	struct nacre_span comment;
};

/* Is this bit of a bitmap set? Bits beyond it are not. */
bool krl_bitmap_has(struct nacre_span bitmap, uint64_t bit);
/* Calls "visit" with each item until it returns something else than 0, which is then returned.
 * Otherwise 0 when all of the list was good, or what is wrong with it. */
int krl_walk(struct nacre_span file, struct krl_header *header,
    int (*visit)(void *context, const struct krl_item *item), void *context);

#endif
