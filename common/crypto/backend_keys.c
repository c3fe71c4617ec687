/* The library's side of backend_keys.h: what the module cannot share with it. */
#include <crypto/backend_keys.h>

void
backend_key_free(struct backend_key *key)
{
	struct nacre_buffer *const buffers[] = {
	    &key->point, &key->scalar, &key->n, &key->e, &key->d, &key->p, &key->q, &key->iqmp};

	for (size_t i = 0; i < sizeof buffers / sizeof buffers[0]; i++)
		nacre_buffer_free(buffers[i]);
}
