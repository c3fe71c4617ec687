/* RevokedKeys. */
#include "authorize.h"

#include <nacre/log.h>

bool
key_is_revoked(const struct login *login, const struct nacre_key *key)
{
	const struct nacre_sshd_config *config = login->config;
	struct nacre_buffer message = {0};
	bool revoked = config->revoked_keys != NULL &&
		       nacre_key_is_revoked(config->revoked_keys, key, "authentication key",
			   (enum nacre_fingerprint_hash)config->fingerprint_hash, &message);

	nacre_log_lines(NACRE_LOG_ERROR, nacre_buffer_span(&message));
	nacre_buffer_free(&message);
	return revoked;
}
