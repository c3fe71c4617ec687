/*
 * Private keys that lie idle are encrypted where they lie. The cipher's key is the hash of a long
 * random pad, so that who reads memory bit by bit, by whatever leak, must read all of the pad
 * without an error. Each time a key is shielded its nonce is new.
 */
#include <key/key.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PAD_LENGTH ((size_t)16 * 1024)

struct nacre_shield {
	uint8_t *pad; /* in pages of its own */
};

int
nacre_shield_new(struct nacre_shield **shield)
{
	struct nacre_shield *made;

	if (sodium_init() < 0)
		return NACRE_ERROR_LIBRARY;
	made = calloc(1, sizeof *made);
	if (made == NULL || (made->pad = sodium_malloc(PAD_LENGTH)) == NULL) {
		free(made);
		return NACRE_ERROR_MEMORY;
	}
	randombytes_buf(made->pad, PAD_LENGTH);
	*shield = made;
	return 0;
}

void
nacre_shield_free(struct nacre_shield *shield)
{
	if (shield == NULL)
		return;
	sodium_free(shield->pad);
	free(shield);
}

static size_t
secret_length(const struct nacre_key *key)
{
	size_t length = 0;

	for (size_t i = 0; i < KEY_SECRET_MAX; i++)
		length += key->secret[i].length;
	return length;
}

static void
cipher_key(
    const struct nacre_shield *shield, uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES])
{
	crypto_generichash(
	    key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES, shield->pad, PAD_LENGTH, NULL, 0);
}

int
nacre_key_shield(struct nacre_key *key, const struct nacre_shield *shield)
{
	uint8_t cipher[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];

	if (key->secret_memory == NULL || key->shielded)
		return 0;
	/* What OpenSSL has is a copy in the clear. */
	rsa_forget_signer(key);
	randombytes_buf(key->shield_nonce, sizeof key->shield_nonce);
	cipher_key(shield, cipher);
	crypto_aead_xchacha20poly1305_ietf_encrypt_detached(key->secret_memory, key->shield_tag,
	    NULL, key->secret_memory, secret_length(key), NULL, 0, NULL, key->shield_nonce, cipher);
	sodium_memzero(cipher, sizeof cipher);
	key->shielded = true;
	return 0;
}

int
nacre_key_unshield(struct nacre_key *key, const struct nacre_shield *shield)
{
	uint8_t cipher[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	int result;

	if (!key->shielded)
		return 0;
	cipher_key(shield, cipher);
	result = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(key->secret_memory, NULL,
	    key->secret_memory, secret_length(key), key->shield_tag, NULL, 0, key->shield_nonce,
	    cipher);
	sodium_memzero(cipher, sizeof cipher);
	if (result != 0)
		return NACRE_ERROR_INTEGRITY;
	key->shielded = false;
	return 0;
}
