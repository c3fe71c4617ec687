/*
 * Signatures of files made with SSH keys, OpenSSH's PROTOCOL.sshsig: detached, armored, each for a
 * namespace so that what was signed for one purpose serves no other.
 */
#ifndef NACRE_SSHSIG_H
#define NACRE_SSHSIG_H

#include <nacre/key.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_SSHSIG_DIGEST_MAX 64 /* bytes */

/* A signature as it was read. Spans point into its own memory. */
struct nacre_sshsig {
	struct nacre_key *key; /* that made it; may be a certificate */
	struct nacre_span name_space;
	struct nacre_span hash; /* "sha256" or "sha512", or a name that we do not know */
	struct nacre_span reserved;
	struct nacre_span signature; /* a signature blob */
	struct nacre_buffer blob;
};

/*
 * Reads "-----BEGIN SSH SIGNATURE-----" and what follows, which must begin the text; what stands
 * behind its end is not looked at. NACRE_ERROR_FORMAT or NACRE_ERROR_UNSUPPORTED with *reason
 * (static; NULL when there is no more to say than the error). Free it after success.
 */
int nacre_sshsig_read(struct nacre_span text, struct nacre_sshsig *signature, const char **reason);
void nacre_sshsig_free(struct nacre_sshsig *signature);
/* Appends the armored text. 0 or NACRE_ERROR_MEMORY. */
int nacre_sshsig_put(const struct nacre_key *key, const char *name_space, const char *hash,
    struct nacre_span signature, struct nacre_buffer *text);

/* Is the hash of messages that "name" names one of those allowed? */
bool nacre_sshsig_hash_known(struct nacre_span name);
/*
 * Reads a message from a descriptor to its end and writes its digest, *length bytes, to "digest"
 * (NACRE_SSHSIG_DIGEST_MAX). Memory does not grow with the message. NACRE_ERROR_UNSUPPORTED for an
 * unknown hash, NACRE_ERROR_SYSTEM with errno.
 */
int nacre_sshsig_digest(int fd, struct nacre_span hash, uint8_t *digest, size_t *length);
/* Appends what is signed with the key: 0 or NACRE_ERROR_MEMORY. */
int nacre_sshsig_put_signed(struct nacre_span name_space, struct nacre_span hash,
    struct nacre_span digest, struct nacre_buffer *data);
/* Was this signature made with its key for this digest? RSA with SHA-1 is refused. Errors as for
 * nacre_key_verify(). Whether the key is believed is the caller's question. */
int nacre_sshsig_verify(const struct nacre_sshsig *signature, struct nacre_span digest);

#ifdef __cplusplus
}
#endif
#endif
