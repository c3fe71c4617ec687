/* ssh-keygen -r: host keys as DNS resource records. */
#include "keygen.h"

#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Those of a host whose keys have their usual places. */
static const char *const host_key_files[] = {
    NACRE_SYSCONFDIR "/ssh_host_rsa_key.pub",
    NACRE_SYSCONFDIR "/ssh_host_ecdsa_key.pub",
    NACRE_SYSCONFDIR "/ssh_host_ed25519_key.pub",
};

static void
print_records(const struct keygen *keygen, const char *path)
{
	struct nacre_buffer text = {0};
	struct nacre_key *key;
	int error = nacre_key_load_public(path, &key, NULL);

	if (error != 0)
		nacre_fatal("Failed to read v2 public key from \"%s\": %s.", path,
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
	error = nacre_key_put_sshfp(key, keygen->host,
	    keygen->record_hashes != 0 ? keygen->record_hashes
				       : NACRE_SSHFP_SHA1 | NACRE_SSHFP_SHA256,
	    keygen->generic, &text);
	if (error != 0)
		nacre_fatal("%s: %s", path, nacre_error_string(error));
	keygen_print(&text);
	nacre_buffer_free(&text);
	nacre_key_free(key);
}

int
keygen_records(const struct keygen *keygen)
{
	bool any = false;

	if (keygen->file != NULL) {
		keygen_must_exist(keygen->file);
		print_records(keygen, keygen->file);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < sizeof host_key_files / sizeof *host_key_files; i++)
		if (access(host_key_files[i], F_OK) == 0) {
			print_records(keygen, host_key_files[i]);
			any = true;
		}
	if (!any)
		nacre_fatal("no keys found.");
	return EXIT_SUCCESS;
}
