/* What judging a host key (host_key.c) and speaking of it (host_key_say.c) share. */
#ifndef CLIENT_HOST_KEY_H
#define CLIENT_HOST_KEY_H

#include <client/client.h>

/* A host key with all that messages say of it. */
struct candidate {
	struct nacre_key *key;   /* as it came, perhaps a certificate */
	struct nacre_key *plain; /* without the certificate; the same object if there is none */
	const char *label;       /* "ED25519" */
	struct nacre_buffer fingerprint;
	struct nacre_sshfp dns; /* what the DNS says of it, if it was asked */
};

/* The line that decides for the server's address (CheckHostIP). */
struct address_line {
	char *name; /* the address as known_hosts has it; NULL: it is not looked at */
	enum nacre_host_verdict verdict;
	const struct nacre_known_host *found;
};

void say_revoked(const struct nacre_client *client, const struct candidate *candidate);
/* The name's key is another one; "address" may know more. */
void say_changed(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address);
void say_address_differs(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address);
void say_picture(const struct nacre_client *client, const struct candidate *candidate);
/* The DNS has fingerprints, and none is of this key. */
void say_dns_differs(const struct candidate *candidate);
/* What to type after a refusal. */
void say_hint(const struct nacre_client *client, const struct candidate *candidate);

/* Asks the person whether an unknown key is right, or whether to go on although the address has
 * another key. */
bool ask_unknown(const struct nacre_client *client, const struct candidate *candidate);
bool ask_to_go_on(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address);

#endif
