/* How the log speaks of keys. */
#include "authorize.h"

#include <nacre/log.h>

void
put_fingerprint(const struct login *login, const struct nacre_key *key, struct nacre_buffer *text)
{
	(void)nacre_key_fingerprint(
	    key, (enum nacre_fingerprint_hash)login->config->fingerprint_hash, text);
	nacre_put_byte(text, 0);
	if (text->failed)
		nacre_fatal("out of memory");
}

/* "ED25519 SHA256:..." */
static void
put_plain(const struct login *login, const struct nacre_key *key, struct nacre_buffer *text)
{
	nacre_put_format(text, "%s ", nacre_key_type_label(key));
	put_fingerprint(login, key, text);
	nacre_buffer_truncate(text, nacre_buffer_length(text) - 1);
}

void
describe_key(const struct login *login, const struct nacre_key *key, struct nacre_buffer *text)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(key);

	nacre_buffer_clear(text);
	put_plain(login, key, text);
	if (certificate != NULL) {
		nacre_put_format(text, " ID %.*s (serial %llu) CA ",
		    (int)(certificate->key_id.length < 300 ? certificate->key_id.length : 300),
		    (const char *)certificate->key_id.data,
		    (unsigned long long)certificate->serial);
		put_plain(login, certificate->authority, text);
	}
	nacre_put_byte(text, 0);
	if (text->failed)
		nacre_fatal("out of memory");
}
