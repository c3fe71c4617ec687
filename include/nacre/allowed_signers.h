/*
 * Whose signatures of files are believed: allowed signers files, as the ALLOWED SIGNERS section of
 * ssh-keygen(1) describes them.
 */
#ifndef NACRE_ALLOWED_SIGNERS_H
#define NACRE_ALLOWED_SIGNERS_H

#include <nacre/certificate.h>
#include <nacre/key.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One line. */
struct nacre_allowed_signer {
	char *principals; /* patterns with commas between them */
	struct nacre_key *key;
	bool authority;        /* the key certifies those that sign */
	char *namespaces;      /* patterns, or NULL */
	uint64_t valid_after;  /* seconds since 1970; 0: always */
	uint64_t valid_before; /* the last second; UINT64_MAX: for ever */
};

/*
 * Reads one line. "principal" (NULL: any): a line whose patterns it does not fit is not read any
 * further. 0; NACRE_ERROR_NOT_FOUND for such lines, blank ones and comments; NACRE_ERROR_FORMAT with
 * what is wrong appended to "message". Free it after success.
 */
int nacre_allowed_signer_read(struct nacre_span line, const char *principal,
    struct nacre_allowed_signer *signer, struct nacre_buffer *message);
void nacre_allowed_signer_free(struct nacre_allowed_signer *signer);
/*
 * Is the line about this key, or about the authority of this certificate, and does it allow it for
 * a principal (NULL: not looked at) in a namespace (NULL: the same) at a time (seconds since 1970)?
 * NACRE_ERROR_NOT_FOUND when it is about another key, NACRE_ERROR_REFUSED with the reason appended
 * to "message".
 */
int nacre_allowed_signer_check(const struct nacre_allowed_signer *signer,
    const struct nacre_key *key, const char *principal, const char *name_space, uint64_t now,
    struct nacre_buffer *message);

#ifdef __cplusplus
}
#endif
#endif
