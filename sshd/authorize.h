/*
 * Whose key is believed: what authorize_key.c, which decides, and its helpers share. All of it runs
 * in the monitor.
 */
#ifndef SSHD_AUTHORIZE_H
#define SSHD_AUTHORIZE_H

#include "login.h"

#include <nacre/authorized_keys.h>
#include <nacre/certificate.h>

/* revoked_keys.c: whether RevokedKeys holds the key, or what it is certified by. What cannot be read
 * revokes everything. */
bool key_is_revoked(const struct login *login, const struct nacre_key *key);

/* user_file.c */
/* The path of a file of the user's, "%h/.ssh/x" or ".ssh/x", with a NUL behind it. */
int user_file_path(const struct login *login, const char *pattern, struct nacre_buffer *path);
/* Reads it with the user's rights: a file that the user cannot read is not the user's word. "what"
 * ("authorized keys") is for the log. */
int user_file_read(
    const struct login *login, const char *path, const char *what, struct nacre_buffer *text);

/* rhosts.c: whether hosts.equiv and its kin let this user of this host log in as the account. */
bool rhosts_allow(
    const struct login *login, const char *host, const char *address, const char *client_user);

/* authorize_options.c: whether the options let the peer in now; if not, the log says so, with
 * "where" in front. */
bool options_let_in(
    struct login *login, const struct nacre_key_options *options, const char *where);

/* authorize_certificate.c */
/* Whether a certificate whose authority stands on a cert-authority line with these options lets the
 * user in; then the options are those of both. "where" the line stands is for the log. */
bool certificate_fits_line(struct login *login, const struct nacre_key *key,
    struct nacre_key_options *options, const char *where);
/* Whether it is one of TrustedUserCAKeys; then with its options. */
bool certificate_is_trusted(
    struct login *login, const struct nacre_key *key, struct nacre_key_options *options);

/* authorize_command.c: the output of a command that tells keys or principals. */
struct authorize_command {
	const char *keyword; /* AuthorizedKeysCommand or AuthorizedPrincipalsCommand */
	const char *command; /* with its arguments */
	const char *user;    /* who runs it */
};
int authorize_command_run(const struct login *login, const struct authorize_command *command,
    const struct nacre_key *key, struct nacre_buffer *output);

/* describe_key.c: "SHA256:..." or as FingerprintHash says, with a NUL behind it. */
void put_fingerprint(
    const struct login *login, const struct nacre_key *key, struct nacre_buffer *text);

#endif
