/* Keys from an exchange hash, RFC 4253 section 7.2, and the ciphers and MACs made of them. */
#include <transport/state.h>

#include <sodium.h>
#include <string.h>

/* The longest: two 256-bit keys of chacha20-poly1305, or the key of HMAC-SHA-512. */
#define KEY_LENGTH_MAX 64
#define KEY_ROUNDS_MAX 4

/* HASH(K || H || letter || session_id), then HASH(K || H || all so far), until it is enough. */
static int
key_derive(const struct transport *transport, const struct exchange *exchange, char letter,
    size_t length, uint8_t key[KEY_LENGTH_MAX])
{
	const struct hash_algorithm *hash = exchange->chosen.kex->hash;
	uint8_t stretched[KEY_ROUNDS_MAX * HASH_LENGTH_MAX];
	struct nacre_span parts[4] = {
	    nacre_buffer_span(&exchange->secret),
	    {exchange->hash, hash->length},
	    {(const uint8_t *)&letter, 1},
	    {transport->session_identifier, transport->session_identifier_length},
	};
	size_t have = hash->length;
	int error = hash_spans(hash, parts, 4, stretched);

	while (error == 0 && have < length && have + hash->length <= sizeof stretched) {
		parts[2] = (struct nacre_span){stretched, have};
		error = hash_spans(hash, parts, 3, stretched + have);
		have += hash->length;
	}
	if (error == 0 && (have < length || length > KEY_LENGTH_MAX))
		error = NACRE_ERROR_UNSUPPORTED;
	if (error == 0)
		memcpy(key, stretched, length);
	sodium_memzero(stretched, sizeof stretched);
	return error;
}

int
keys_of_algorithms(struct packet_side *side, bool encrypt, const uint8_t *key, const uint8_t *iv,
    const uint8_t *mac_key)
{
	int error = cipher_new(side->cipher_algorithm, encrypt, key, iv, &side->cipher);

	if (error != 0 || side->mac_algorithm == NULL)
		return error;
	memcpy(side->mac_key, mac_key, side->mac_algorithm->key_length);
	return mac_new(side->mac_algorithm, mac_key, &side->mac);
}

static int
side_make(struct transport *transport, struct exchange *exchange, enum direction way,
    struct packet_side *side, bool encrypt)
{
	uint8_t iv[KEY_LENGTH_MAX], key[KEY_LENGTH_MAX], mac_key[KEY_LENGTH_MAX];
	const struct negotiated *chosen = &exchange->chosen;
	char letter = way == CLIENT_TO_SERVER ? 'A' : 'B';
	size_t mac_length = chosen->mac[way] != NULL ? chosen->mac[way]->key_length : 0;
	int error;

	packet_side_free(side);
	side->cipher_algorithm = chosen->cipher[way];
	side->mac_algorithm = chosen->mac[way];
	side->compresses = chosen->compress[way];
	error = key_derive(transport, exchange, letter, chosen->cipher[way]->iv_length, iv);
	if (error == 0)
		error = key_derive(
		    transport, exchange, (char)(letter + 2), chosen->cipher[way]->key_length, key);
	if (error == 0)
		error = key_derive(transport, exchange, (char)(letter + 4), mac_length, mac_key);
	if (error == 0)
		error = keys_of_algorithms(side, encrypt, key, iv, mac_key);
	sodium_memzero(iv, sizeof iv);
	sodium_memzero(key, sizeof key);
	sodium_memzero(mac_key, sizeof mac_key);
	return error;
}

int
keys_make(struct transport *transport, struct exchange *exchange)
{
	bool client = transport->role == NACRE_CLIENT;
	enum direction out = client ? CLIENT_TO_SERVER : SERVER_TO_CLIENT;
	enum direction in = client ? SERVER_TO_CLIENT : CLIENT_TO_SERVER;
	int error = side_make(transport, exchange, out, &exchange->send, true);

	if (error == 0)
		error = side_make(transport, exchange, in, &exchange->receive, false);
	nacre_buffer_free(&exchange->secret);
	if (error != 0)
		return exchange_crypto_failed(transport, error, "making the keys");
	return 0;
}
