/* Signatures of files, and the lines that say whose are believed. */
#include <nacre/allowed_signers.h>
#include <nacre/sshsig.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The example of PROTOCOL.sshsig. */
static const char example[] =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgJKxoLBJBivUPNTUJUSslQTt2hD\n"
    "jozKvHarKeN8uYFqgAAAADZm9vAAAAAAAAAFMAAAALc3NoLWVkMjU1MTkAAABAKNC4IEbt\n"
    "Tq0Fb56xhtuE1/lK9H9RZJfON4o6hE9R4ZGFX98gy0+fFJ/1d2/RxnZky0Y7GojwrZkrHT\n"
    "FgCqVWAQ==\n"
    "-----END SSH SIGNATURE-----\n";

static struct nacre_key *
made_key(enum nacre_key_type type)
{
	struct nacre_key *key = NULL;

	assert_int_equal(nacre_key_generate(type, 2048, &key), 0);
	return key;
}

/* The digest of a text, by way of a pipe. */
static size_t
digest_of(const char *text, const char *hash, uint8_t *digest)
{
	size_t length = 0;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
	close(ends[1]);
	assert_int_equal(nacre_sshsig_digest(ends[0], nacre_span_of(hash), digest, &length), 0);
	close(ends[0]);
	return length;
}

static void
sign_text(const struct nacre_key *key, const char *text, const char *hash, struct nacre_buffer *out)
{
	uint8_t digest[NACRE_SSHSIG_DIGEST_MAX];
	const size_t length = digest_of(text, hash, digest);
	struct nacre_buffer data = {0}, signature = {0};

	assert_int_equal(nacre_sshsig_put_signed(nacre_span_of("file"), nacre_span_of(hash),
			     (struct nacre_span){digest, length}, &data),
	    0);
	assert_int_equal(nacre_key_sign(key, NULL, nacre_buffer_span(&data), &signature), 0);
	assert_int_equal(
	    nacre_sshsig_put(key, "file", hash, nacre_buffer_span(&signature), out), 0);
	nacre_buffer_free(&data);
	nacre_buffer_free(&signature);
}

static void
verifies_what_was_signed(void **state)
{
	static const enum nacre_key_type types[] = {
	    NACRE_KEY_ED25519, NACRE_KEY_ECDSA_P384, NACRE_KEY_RSA};
	uint8_t digest[NACRE_SSHSIG_DIGEST_MAX];
	const char *reason;

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		const char *hash = i % 2 == 0 ? "sha512" : "sha256";
		struct nacre_key *key = made_key(types[i]);
		struct nacre_buffer text = {0};
		struct nacre_sshsig signature;

		sign_text(key, "hello", hash, &text);
		assert_int_equal(
		    nacre_sshsig_read(nacre_buffer_span(&text), &signature, &reason), 0);
		assert_true(nacre_key_equal(signature.key, key));
		assert_true(nacre_span_equals(signature.name_space, "file"));
		assert_true(nacre_span_equals(signature.hash, hash));
		size_t length = digest_of("hello", hash, digest);
		assert_int_equal(length, i % 2 == 0 ? 64 : 32);
		assert_int_equal(
		    nacre_sshsig_verify(&signature, (struct nacre_span){digest, length}), 0);
		length = digest_of("hello.", hash, digest);
		assert_int_equal(
		    nacre_sshsig_verify(&signature, (struct nacre_span){digest, length}),
		    NACRE_ERROR_SIGNATURE);
		nacre_sshsig_free(&signature);
		nacre_buffer_free(&text);
		nacre_key_free(key);
	}
}

static int
read_error(struct nacre_span text, const char **reason)
{
	struct nacre_sshsig signature;
	int error = nacre_sshsig_read(text, &signature, reason);

	if (error == 0)
		nacre_sshsig_free(&signature);
	return error;
}

static void
refuses_broken_armor(void **state)
{
	struct nacre_key *key = made_key(NACRE_KEY_ED25519);
	struct nacre_buffer text = {0};
	struct nacre_span whole;
	const char *reason;

	(void)state;
	sign_text(key, "hello", "sha512", &text);
	whole = nacre_buffer_span(&text);
	assert_int_equal(read_error(whole, &reason), 0);
	assert_int_equal(read_error((struct nacre_span){whole.data + 1, whole.length - 1}, &reason),
	    NACRE_ERROR_FORMAT);
	assert_string_equal(reason, "missing header");
	assert_int_equal(read_error((struct nacre_span){whole.data, whole.length - 20}, &reason),
	    NACRE_ERROR_FORMAT);
	assert_string_equal(reason, "missing footer");
	for (size_t length = 0; length + 2 < whole.length; length++)
		assert_int_not_equal(
		    read_error((struct nacre_span){whole.data, length}, &reason), 0);
	text.data[text.start + 40] ^= 1; /* the magic bytes */
	assert_int_not_equal(read_error(nacre_buffer_span(&text), &reason), 0);
	/* The example of the document is older than its hash field, hence not whole. */
	assert_int_not_equal(read_error(nacre_span_of(example), &reason), 0);
	nacre_buffer_free(&text);
	nacre_key_free(key);
}

/* The outcome of a line about "key": 0, or an error with its reason. */
static int
verdict(const struct nacre_key *key, const char *before, const char *principal, uint64_t now,
    char *reason, size_t size)
{
	struct nacre_buffer line = {0}, message = {0};
	struct nacre_allowed_signer signer;
	int error;

	nacre_put_format(&line, "%s ", before);
	assert_int_equal(nacre_key_put_line(key, "note", &line), 0);
	error = nacre_allowed_signer_read(nacre_buffer_span(&line), principal, &signer, &message);
	if (error == 0) {
		error = nacre_allowed_signer_check(&signer, key, principal, "file", now, &message);
		nacre_allowed_signer_free(&signer);
	}
	nacre_put_byte(&message, '\0');
	strncpy(reason, (const char *)message.data + message.start, size - 1);
	reason[size - 1] = '\0';
	nacre_buffer_free(&line);
	nacre_buffer_free(&message);
	return error;
}

static void
allowed_signers_decide(void **state)
{
	static const struct {
		const char *before, *principal;
		int error;
		const char *reason;
	} cases[] = {
	    {"me@x", "me@x", 0, ""},
	    {"*@x,!you@x", "me@x", 0, ""},
	    {"*@x,!you@x", "you@x", NACRE_ERROR_NOT_FOUND, ""},
	    {"\"a b,me@x\"", "a b", 0, ""},
	    {"\"me@x", "me@x", NACRE_ERROR_FORMAT, "invalid line"},
	    {"me@x namespaces=\"other,fi*\"", "me@x", 0, ""},
	    {"me@x namespaces=\"other\"", "me@x", NACRE_ERROR_REFUSED,
		"key is not permitted for use in signature namespace \"file\""},
	    {"me@x cert-authority", "me@x", NACRE_ERROR_NOT_FOUND, ""},
	    {"me@x valid-after=\"20200101Z\",valid-before=\"20300101Z\"", "me@x", 0, ""},
	    {"me@x other", "me@x", NACRE_ERROR_FORMAT, "bad options: unknown key option"},
	    {"me@x namespaces=\"a\",", "me@x", NACRE_ERROR_FORMAT,
		"bad options: unexpected end-of-options"},
	};
	struct nacre_key *key = made_key(NACRE_KEY_ED25519);
	char reason[200];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(verdict(key, cases[i].before, cases[i].principal, 1700000000,
				     reason, sizeof reason),
		    cases[i].error);
		assert_string_equal(reason, cases[i].reason);
	}
	assert_int_equal(verdict(key, "me@x valid-before=\"20200101Z\"", "me@x", 1700000000, reason,
			     sizeof reason),
	    NACRE_ERROR_REFUSED);
	assert_non_null(strstr(reason, "key has expired"));
	nacre_key_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verifies_what_was_signed),
	    cmocka_unit_test(refuses_broken_armor),
	    cmocka_unit_test(allowed_signers_decide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
