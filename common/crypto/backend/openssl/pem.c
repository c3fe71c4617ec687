/* PEM files: PKCS#1, SEC 1, PKCS#8 and SubjectPublicKeyInfo, by OpenSSL. */
#include <crypto/backend/openssl/keys.h>

#include <openssl/bio.h>
#include <openssl/encoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define RAW_LENGTH_MAX 64

/* OpenSSL is initialised without its tables of names (see backend.c); DEK-Info headers of
 * traditional files name their ciphers in these, and PKCS#8 files are written with their object
 * identifiers, which fetched ciphers only get when the names are known before the first fetch. */
void
pem_initialise(void)
{
	EVP_add_cipher(EVP_aes_128_cbc());
	EVP_add_cipher(EVP_aes_192_cbc());
	EVP_add_cipher(EVP_aes_256_cbc());
	EVP_add_cipher(EVP_des_ede3_cbc());
	EVP_add_digest(EVP_md5());
	EVP_add_digest(EVP_sha1());
	EVP_add_digest(EVP_sha256());
}

static int
passphrase_give(char *buffer, int size, int writing, void *context)
{
	const struct nacre_span *passphrase = context;

	(void)writing;
	if (size < 0 || passphrase->length == 0 || passphrase->length > (size_t)size)
		return -1;
	memcpy(buffer, passphrase->data, passphrase->length);
	return (int)passphrase->length;
}

static bool
contains(struct nacre_span text, const char *part)
{
	return text.length > 0 && memmem(text.data, text.length, part, strlen(part)) != NULL;
}

static int
raw_numbers(const EVP_PKEY *pkey, struct backend_key *key)
{
	uint8_t raw[RAW_LENGTH_MAX];
	size_t length = sizeof raw;

	key->kind = BACKEND_KEY_ED25519;
	if (EVP_PKEY_get_raw_public_key(pkey, raw, &length) != 1)
		return NACRE_ERROR_FORMAT;
	nacre_put_bytes(&key->point, raw, length);
	if (!key->is_private)
		return 0;
	length = sizeof raw;
	if (EVP_PKEY_get_raw_private_key(pkey, raw, &length) != 1)
		return NACRE_ERROR_FORMAT;
	nacre_put_bytes(&key->scalar, raw, length);
	OPENSSL_cleanse(raw, sizeof raw);
	return key->scalar.failed ? NACRE_ERROR_MEMORY : 0;
}

static int
private_check(const struct backend_key *key)
{
	struct backend_rsa rsa = {nacre_buffer_span(&key->n), nacre_buffer_span(&key->e),
	    nacre_buffer_span(&key->d), nacre_buffer_span(&key->p), nacre_buffer_span(&key->q),
	    nacre_buffer_span(&key->iqmp)};

	if (key->kind == BACKEND_KEY_RSA)
		return rsa_check(&rsa);
	if (key->kind == BACKEND_KEY_EC)
		return ecdsa_check(
		    key->curve, nacre_buffer_span(&key->point), nacre_buffer_span(&key->scalar));
	return 0;
}

static int
pkey_numbers(const EVP_PKEY *pkey, struct backend_key *key)
{
	int error = NACRE_ERROR_UNSUPPORTED;

	if (EVP_PKEY_is_a(pkey, "RSA"))
		error = rsa_numbers_get(pkey, key);
	else if (EVP_PKEY_is_a(pkey, "EC"))
		error = ecdsa_numbers(pkey, key);
	else if (EVP_PKEY_is_a(pkey, "ED25519"))
		error = raw_numbers(pkey, key);
	return error == 0 && key->is_private ? private_check(key) : error;
}

int
pem_decode(struct nacre_span text, struct nacre_span passphrase, struct backend_key *key)
{
	bool encrypted = contains(text, "ENCRYPTED");
	EVP_PKEY *pkey;
	BIO *bio;
	int error;

	if (text.length > INT_MAX || (bio = BIO_new_mem_buf(text.data, (int)text.length)) == NULL)
		return NACRE_ERROR_MEMORY;
	key->is_private = contains(text, "PRIVATE KEY-----");
	pkey = key->is_private ? PEM_read_bio_PrivateKey(bio, NULL, passphrase_give, &passphrase)
			       : PEM_read_bio_PUBKEY(bio, NULL, passphrase_give, &passphrase);
	BIO_free(bio);
	if (pkey == NULL)
		error = encrypted ? NACRE_ERROR_PASSPHRASE : NACRE_ERROR_FORMAT;
	else
		error = pkey_numbers(pkey, key);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return error;
}

static EVP_PKEY *
pkey_of(const struct backend_key *key)
{
	struct nacre_span point = nacre_buffer_span(&key->point);
	struct nacre_span scalar = nacre_buffer_span(&key->scalar);
	struct backend_rsa rsa = {nacre_buffer_span(&key->n), nacre_buffer_span(&key->e),
	    nacre_buffer_span(&key->d), nacre_buffer_span(&key->p), nacre_buffer_span(&key->q),
	    nacre_buffer_span(&key->iqmp)};

	if (key->kind == BACKEND_KEY_EC)
		return ecdsa_pkey(key->curve, point, scalar);
	if (key->kind == BACKEND_KEY_ED25519)
		return key->is_private ? EVP_PKEY_new_raw_private_key(
					     EVP_PKEY_ED25519, NULL, scalar.data, scalar.length)
				       : EVP_PKEY_new_raw_public_key(
					     EVP_PKEY_ED25519, NULL, point.data, point.length);
	if (!key->is_private)
		rsa = (struct backend_rsa){.n = rsa.n, .e = rsa.e};
	return rsa_pkey(&rsa);
}

static bool
public_write(
    BIO *bio, EVP_PKEY *pkey, const struct backend_key *key, enum backend_pem_format format)
{
	OSSL_ENCODER_CTX *encoder;
	bool written;

	if (key->kind != BACKEND_KEY_RSA || format != BACKEND_PEM_TRADITIONAL)
		return PEM_write_bio_PUBKEY(bio, pkey) == 1;
	encoder =
	    OSSL_ENCODER_CTX_new_for_pkey(pkey, EVP_PKEY_PUBLIC_KEY, "PEM", "type-specific", NULL);
	written = encoder != NULL && OSSL_ENCODER_to_bio(encoder, bio) == 1;
	OSSL_ENCODER_CTX_free(encoder);
	return written;
}

/* Ed25519 has no traditional form: it gets PKCS#8 always. */
static bool
private_write(BIO *bio, EVP_PKEY *pkey, const struct backend_key *key,
    enum backend_pem_format format, struct nacre_span passphrase)
{
	const EVP_CIPHER *cipher = passphrase.length > 0 ? EVP_aes_128_cbc() : NULL;

	if (format == BACKEND_PEM_TRADITIONAL && key->kind != BACKEND_KEY_ED25519)
		return PEM_write_bio_PrivateKey_traditional(bio, pkey, cipher, passphrase.data,
			   (int)passphrase.length, NULL, NULL) == 1;
	return PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher, (const char *)passphrase.data,
		   (int)passphrase.length, NULL, NULL) == 1;
}

int
pem_encode(const struct backend_key *key, enum backend_pem_format format,
    struct nacre_span passphrase, struct nacre_buffer *text)
{
	EVP_PKEY *pkey = pkey_of(key);
	BIO *bio = BIO_new(BIO_s_secmem());
	char *data = NULL;
	bool written;
	long length;

	written = pkey != NULL && bio != NULL && passphrase.length <= INT_MAX &&
		  (key->is_private ? private_write(bio, pkey, key, format, passphrase)
				   : public_write(bio, pkey, key, format));
	if (written && (length = BIO_get_mem_data(bio, &data)) > 0)
		nacre_put_bytes(text, data, (size_t)length);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return !written ? NACRE_ERROR_LIBRARY : text->failed ? NACRE_ERROR_MEMORY : 0;
}
