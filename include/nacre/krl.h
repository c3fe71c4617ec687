/*
 * Key revocation lists in OpenSSH's binary form (its PROTOCOL.krl): asked about keys, made,
 * changed and shown.
 */
#ifndef NACRE_KRL_H
#define NACRE_KRL_H

#include <nacre/key.h>

#ifdef __cplusplus
extern "C" {
#endif

/* True when the bytes begin as a KRL does. */
bool nacre_krl_is(struct nacre_span file);
/*
 * Is a key on the list? 0: it is revoked, be it by itself, by its hash, or as a certificate by
 * serial number, key id or through its authority. NACRE_ERROR_NOT_FOUND: it is not.
 * NACRE_ERROR_FORMAT, NACRE_ERROR_UNSUPPORTED (a critical part that is not known),
 * NACRE_ERROR_SIGNATURE (the list is signed, but not by this key): the list says nothing. Nothing
 * is copied; time is that of reading the list once.
 */
int nacre_krl_find(struct nacre_span file, const struct nacre_key *key);

/* A list under construction. */
struct nacre_krl;
/* An empty list. 0 or NACRE_ERROR_MEMORY. */
int nacre_krl_new(struct nacre_krl **krl);
/* NULL is allowed. */
void nacre_krl_free(struct nacre_krl *krl);
/* Adds what a file revokes; version, date and comment become the file's. Errors as for
 * nacre_krl_find(); NACRE_ERROR_MEMORY for more entries than a list may have. */
int nacre_krl_load(struct nacre_krl *krl, struct nacre_span file);
/* "generated": seconds since 1970; "comment" NULL: none. 0 or NACRE_ERROR_MEMORY. */
int nacre_krl_describe(
    struct nacre_krl *krl, uint64_t version, uint64_t generated, const char *comment);
uint64_t nacre_krl_version(const struct nacre_krl *krl);
/* Until it is described anew; NULL: none. */
const char *nacre_krl_comment(const struct nacre_krl *krl);

enum nacre_krl_hash { NACRE_KRL_SHA1, NACRE_KRL_SHA256 };
/* Revokes a plain key (of a certificate: the key in it), or one by its hash: 20 or 32 bytes. */
int nacre_krl_revoke_key(struct nacre_krl *krl, const struct nacre_key *key);
int nacre_krl_revoke_hash(
    struct nacre_krl *krl, enum nacre_krl_hash hash, struct nacre_span digest);
int nacre_krl_revoke_key_hash(
    struct nacre_krl *krl, enum nacre_krl_hash hash, const struct nacre_key *key);
/* Revokes certificates by serial number, "first" to "last" (from 1 on), or by key id.
 * "authority" NULL: of whatever authority. */
int nacre_krl_revoke_serials(
    struct nacre_krl *krl, const struct nacre_key *authority, uint64_t first, uint64_t last);
int nacre_krl_revoke_key_id(
    struct nacre_krl *krl, const struct nacre_key *authority, struct nacre_span key_id);
/* Appends the file. */
int nacre_krl_encode(struct nacre_krl *krl, struct nacre_buffer *file);
/* Appends the list as ssh-keygen -Q -l shows it. */
int nacre_krl_put_text(struct nacre_krl *krl, struct nacre_buffer *text);

#ifdef __cplusplus
}
#endif
#endif
