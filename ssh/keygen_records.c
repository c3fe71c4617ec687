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

/* -O hashalg=..., otherwise all. */
static unsigned
hashes_of(const struct keygen *keygen)
{
	unsigned hashes = NACRE_SSHFP_SHA1 | NACRE_SSHFP_SHA256;

	for (size_t i = 0; i < keygen->option_count; i++) {
		const char *value = keygen_option_value(keygen->options[i], "hashalg");

		if (value == NULL)
			nacre_fatal("Unsupported -O option \"%s\"", keygen->options[i]);
		if (!nacre_sshfp_hash_find(value, &hashes))
			nacre_fatal("Unsupported hash algorithm \"%s\"", value);
	}
	return hashes;
}

static void
print_records(const struct keygen *keygen, unsigned hashes, const char *path)
{
	struct nacre_buffer text = {0};
	struct nacre_key *key;
	int error = nacre_key_load_public(path, &key, NULL);

	if (error != 0)
		nacre_fatal("Failed to read v2 public key from \"%s\": %s.", path,
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
	error = nacre_key_put_sshfp(key, keygen->record_name, hashes, keygen->generic, &text);
	if (error != 0)
		nacre_fatal("%s: %s", path, nacre_error_string(error));
	keygen_print(&text);
	nacre_buffer_free(&text);
	nacre_key_free(key);
}

int
keygen_records(const struct keygen *keygen)
{
	const unsigned hashes = hashes_of(keygen);
	bool any = false;

	if (keygen->file != NULL) {
		if (access(keygen->file, F_OK) != 0)
			nacre_fatal("%s: %s", keygen->file, strerror(errno));
		print_records(keygen, hashes, keygen->file);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < sizeof host_key_files / sizeof *host_key_files; i++)
		if (access(host_key_files[i], F_OK) == 0) {
			print_records(keygen, hashes, host_key_files[i]);
			any = true;
		}
	if (!any)
		nacre_fatal("no keys found.");
	return EXIT_SUCCESS;
}
