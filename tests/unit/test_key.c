/*
 * Keys, signatures, key files and certificates: against files that ssh-keygen wrote
 * (tests/vectors/key) and Project Wycheproof's signatures.
 */
#include <nacre/certificate.h>
#include <nacre/file.h>
#include <nacre/key.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEYS       "tests/vectors/key/"
#define PASSPHRASE "correct horse"
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))

static const struct nacre_span nothing;

static void
file_read(const char *name, struct nacre_buffer *content)
{
	char path[256];

	snprintf(path, sizeof path, KEYS "%s", name);
	nacre_buffer_clear(content);
	if (nacre_file_read(path, 1 << 20, content) != 0)
		fail_msg("cannot read %s", path);
}

static struct nacre_key *
private_read(const char *name, const char *passphrase)
{
	struct nacre_buffer content = {0};
	struct nacre_key *key = NULL;
	char *comment = NULL;
	int error;

	file_read(name, &content);
	error = nacre_key_parse_private(
	    nacre_buffer_span(&content), nacre_span_of(passphrase), &key, &comment);
	if (error != 0)
		fail_msg("%s: %s", name, nacre_error_string(error));
	assert_true(nacre_key_is_private(key));
	nacre_buffer_free(&content);
	free(comment);
	return key;
}

static struct nacre_key *
public_read(const char *name)
{
	struct nacre_key *key = NULL;
	char path[256];
	char *comment = NULL;

	snprintf(path, sizeof path, KEYS "%s", name);
	assert_int_equal(nacre_key_load_public(path, &key, &comment), 0);
	assert_string_equal(comment, "test key");
	free(comment);
	return key;
}

static void
check_signs(const struct nacre_key *private, const struct nacre_key *public, const char *algorithm)
{
	struct nacre_span text = nacre_span_of("to be signed"),
			  other = nacre_span_of("To be signed");
	struct nacre_buffer signature = {0};

	assert_int_equal(nacre_key_sign(private, algorithm, text, &signature), 0);
	assert_int_equal(
	    nacre_key_verify(public, algorithm, nacre_buffer_span(&signature), text), 0);
	assert_int_equal(nacre_key_verify(public, algorithm, nacre_buffer_span(&signature), other),
	    NACRE_ERROR_SIGNATURE);
	signature.data[signature.end - 1] ^= 1;
	assert_int_not_equal(
	    nacre_key_verify(public, algorithm, nacre_buffer_span(&signature), text), 0);
	nacre_buffer_free(&signature);
}

static void
test_files_of_ssh_keygen(void **state)
{
	static const struct {
		const char *file, *public, *passphrase;
	} files[] = {
	    {"ed25519", "ed25519", ""},
	    {"rsa", "rsa", ""},
	    {"ecdsa256", "ecdsa256", ""},
	    {"ecdsa384", "ecdsa384", ""},
	    {"ecdsa521", "ecdsa521", ""},
	    {"ed25519.aes256-ctr", "ed25519", PASSPHRASE},
	    {"ed25519.aes192-ctr", "ed25519", PASSPHRASE},
	    {"ed25519.aes128-ctr", "ed25519", PASSPHRASE},
	    {"ed25519.aes256-cbc", "ed25519", PASSPHRASE},
	    {"ed25519.aes192-cbc", "ed25519", PASSPHRASE},
	    {"ed25519.aes128-cbc", "ed25519", PASSPHRASE},
	    {"ed25519.3des-cbc", "ed25519", PASSPHRASE},
	    {"ed25519.aes128-gcm@openssh.com", "ed25519", PASSPHRASE},
	    {"ed25519.aes256-gcm@openssh.com", "ed25519", PASSPHRASE},
	    {"ed25519.chacha20-poly1305@openssh.com", "ed25519", PASSPHRASE},
	    {"rsa.PEM", "rsa", ""},
	    {"rsa.PEM.encrypted", "rsa", PASSPHRASE},
	    {"rsa.des3.PEM", "rsa", PASSPHRASE},
	    {"rsa.PKCS8", "rsa", ""},
	    {"rsa.PKCS8.encrypted", "rsa", PASSPHRASE},
	    {"rsa.openssl.PKCS8", "rsa", PASSPHRASE},
	    {"ecdsa256.PEM", "ecdsa256", ""},
	    {"ecdsa256.PEM.encrypted", "ecdsa256", PASSPHRASE},
	    {"ecdsa256.PKCS8.encrypted", "ecdsa256", PASSPHRASE},
	    {"ecdsa384.PKCS8", "ecdsa384", ""},
	    {"ecdsa384.PEM.encrypted", "ecdsa384", PASSPHRASE},
	    {"ecdsa521.PEM", "ecdsa521", ""},
	    {"ecdsa521.PKCS8.encrypted", "ecdsa521", PASSPHRASE},
	};
	struct nacre_key *private, *public, *none = NULL;
	struct nacre_buffer content = {0};
	int error;

	(void)state;
	for (size_t i = 0; i < COUNT(files); i++) {
		private = private_read(files[i].file, files[i].passphrase);
		public = public_read(files[i].public);
		assert_true(nacre_key_equal(private, public));
		check_signs(private, public, NULL);
		nacre_key_free(private);
		nacre_key_free(public);
		if (files[i].passphrase[0] == '\0')
			continue;
		file_read(files[i].file, &content);
		error = nacre_key_parse_private(
		    nacre_buffer_span(&content), nacre_span_of("wrong horse"), &none, NULL);
		assert_int_equal(error, NACRE_ERROR_PASSPHRASE);
		error = nacre_key_parse_private(nacre_buffer_span(&content), nothing, &none, NULL);
		assert_int_equal(error, NACRE_ERROR_PASSPHRASE);
	}
	nacre_buffer_free(&content);
}

static void
test_ed25519_pkcs8(void **state)
{
	struct nacre_key *key = private_read("ed25519.openssl.PKCS8", "");

	(void)state;
	assert_int_equal(nacre_key_type(key), NACRE_KEY_ED25519);
	check_signs(key, key, NULL);
	nacre_key_free(key);
}

static void
test_public_half_without_passphrase(void **state)
{
	struct nacre_key *shown = NULL, *public = public_read("ed25519");
	struct nacre_buffer content = {0};

	(void)state;
	file_read("ed25519.aes256-ctr", &content);
	assert_int_equal(nacre_key_parse_private_public(nacre_buffer_span(&content), &shown), 0);
	assert_true(nacre_key_equal(shown, public));
	assert_false(nacre_key_is_private(shown));
	nacre_key_free(shown);
	nacre_key_free(public);
	nacre_buffer_free(&content);
}

static void
test_written_files_are_read(void **state)
{
	static const char *const ciphers[] = {NULL, "aes128-cbc", "3des-cbc",
	    "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"};
	static const char *const names[] = {"ed25519", "ecdsa256", "ecdsa521", "rsa"};
	struct nacre_key *key, *again;
	struct nacre_buffer text = {0};
	char *comment;

	(void)state;
	for (size_t i = 0; i < COUNT(names) * COUNT(ciphers) * 3; i++) {
		struct nacre_key_file_options options = {
		    .format = (enum nacre_key_file_format)(i % 3),
		    .cipher = ciphers[i / 3 % COUNT(ciphers)],
		    .passphrase = nacre_span_of(i % 2 == 0 ? PASSPHRASE : ""),
		    .rounds = 1,
		    .comment = "a comment",
		};
		key = private_read(names[i / 3 / COUNT(ciphers)], "");
		nacre_buffer_clear(&text);
		assert_int_equal(nacre_key_put_private(key, &options, &text), 0);
		assert_int_equal(nacre_key_parse_private(nacre_buffer_span(&text),
				     options.passphrase, &again, &comment),
		    0);
		assert_true(nacre_key_equal(key, again));
		assert_string_equal(
		    comment, options.format == NACRE_KEY_FILE_OPENSSH ? "a comment" : "");
		check_signs(again, key, NULL);
		nacre_key_free(key);
		nacre_key_free(again);
		free(comment);
	}
	nacre_buffer_free(&text);
}

/* Every cut and every changed bit of a file ends in an error or in a whole key, never in a
 * crash. */
static void
test_damaged_files(void **state)
{
	static const char *const names[] = {"ed25519", "ecdsa256"};
	struct nacre_buffer content = {0};
	struct nacre_key *key;

	(void)state;
	for (size_t n = 0; n < COUNT(names); n++) {
		file_read(names[n], &content);
		for (size_t i = 0; i < nacre_buffer_length(&content); i++) {
			struct nacre_span cut = {nacre_buffer_span(&content).data, i};

			if (i < nacre_buffer_length(&content) - 1)
				assert_int_not_equal(
				    nacre_key_parse_private(cut, nothing, &key, NULL), 0);
			content.data[i] ^= 1;
			if (nacre_key_parse_private(
				nacre_buffer_span(&content), nothing, &key, NULL) == 0)
				nacre_key_free(key);
			content.data[i] ^= 1;
		}
	}
	nacre_buffer_free(&content);
}

static void
test_fingerprints_and_randomart(void **state)
{
	static const char *const names[] = {
	    "ed25519", "rsa", "ecdsa256", "ecdsa384", "ecdsa521", "ed25519-cert", "rsa-cert"};
	struct nacre_buffer expected = {0}, text = {0};
	struct nacre_key *key;
	char name[64];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		snprintf(name, sizeof name, "%s.pub", names[i]);
		key = public_read(name);
		snprintf(name, sizeof name, "%s.fingerprint", names[i]);
		file_read(name, &expected);
		nacre_buffer_clear(&text);
		for (int hash = NACRE_FINGERPRINT_SHA256; hash <= NACRE_FINGERPRINT_MD5; hash++) {
			nacre_put_format(&text, "%u ", nacre_key_bits(key));
			nacre_key_fingerprint(key, (enum nacre_fingerprint_hash)hash, &text);
			nacre_put_format(&text, " test key (%s)\n", nacre_key_type_label(key));
			nacre_key_randomart(key, (enum nacre_fingerprint_hash)hash, &text);
			nacre_put_format(&text, "\n");
		}
		nacre_put_byte(&text, 0);
		nacre_put_byte(&expected, 0);
		assert_string_equal((const char *)nacre_buffer_span(&text).data,
		    (const char *)nacre_buffer_span(&expected).data);
		nacre_key_free(key);
	}
	nacre_buffer_free(&expected);
	nacre_buffer_free(&text);
}

static void
test_public_text_forms(void **state)
{
	static const struct {
		const char *file, *key;
	} pems[] = {{"rsa.public.PEM", "rsa"}, {"rsa.public.PKCS8", "rsa"},
	    {"ecdsa521.public.PKCS8", "ecdsa521"}};
	struct nacre_buffer content = {0}, text = {0};
	struct nacre_key *key, *public = public_read("rsa");
	char *comment;

	(void)state;
	file_read("rsa.rfc4716", &content);
	assert_int_equal(nacre_key_from_rfc4716(nacre_buffer_span(&content), &key, &comment), 0);
	assert_non_null(strstr(comment, "2048-bit RSA, converted by "));
	assert_true(nacre_key_equal(key, public));
	assert_int_equal(nacre_key_put_rfc4716(key, comment, &text), 0);
	assert_true(nacre_span_equal(nacre_buffer_span(&text), nacre_buffer_span(&content)));
	free(comment);
	nacre_key_free(key);
	nacre_key_free(public);
	for (size_t i = 0; i < COUNT(pems); i++) {
		file_read(pems[i].file, &content);
		public = public_read(pems[i].key);
		assert_int_equal(nacre_key_from_pem(nacre_buffer_span(&content), &key), 0);
		assert_true(nacre_key_equal(key, public));
		nacre_buffer_clear(&text);
		assert_int_equal(nacre_key_put_pem(key,
				     i == 0 ? NACRE_KEY_FILE_PEM : NACRE_KEY_FILE_PKCS8, &text),
		    0);
		assert_true(
		    nacre_span_equal(nacre_buffer_span(&text), nacre_buffer_span(&content)));
		nacre_key_free(key);
		nacre_key_free(public);
	}
	nacre_buffer_free(&content);
	nacre_buffer_free(&text);
}

static void
test_lines(void **state)
{
	struct nacre_buffer content = {0}, text = {0};
	struct nacre_span comment;
	struct nacre_key *key;

	(void)state;
	file_read("ed25519.pub", &content);
	assert_int_equal(nacre_key_from_line(nacre_buffer_span(&content), &key, &comment), 0);
	assert_true(nacre_span_equals(comment, "test key"));
	nacre_key_put_line(key, "test key", &text);
	nacre_put_format(&text, "\n");
	assert_true(nacre_span_equal(nacre_buffer_span(&content), nacre_buffer_span(&text)));
	nacre_key_free(key);
	assert_int_equal(
	    nacre_key_from_line(nacre_span_of("ssh-ed25519"), &key, NULL), NACRE_ERROR_FORMAT);
	assert_int_equal(nacre_key_from_line(nacre_span_of("ssh-dss AAAA"), &key, NULL),
	    NACRE_ERROR_UNSUPPORTED);
	content.data[5] = '3'; /* another type than the blob's */
	memcpy(content.data, "ssh-rsa    ", 11);
	assert_int_equal(
	    nacre_key_from_line(nacre_buffer_span(&content), &key, NULL), NACRE_ERROR_FORMAT);
	nacre_buffer_free(&content);
	nacre_buffer_free(&text);
}

static void
test_generated_keys(void **state)
{
	static const enum nacre_key_type types[] = {NACRE_KEY_ED25519, NACRE_KEY_ECDSA_P256,
	    NACRE_KEY_ECDSA_P384, NACRE_KEY_ECDSA_P521, NACRE_KEY_RSA};
	struct nacre_buffer encoded = {0};
	struct nacre_reader reader;
	struct nacre_key *key, *again;

	(void)state;
	for (size_t i = 0; i < COUNT(types); i++) {
		assert_int_equal(nacre_key_generate(types[i], 2048, &key), 0);
		nacre_buffer_clear(&encoded);
		assert_int_equal(nacre_key_write_private(key, &encoded), 0);
		reader = nacre_reader_of(nacre_buffer_span(&encoded));
		assert_int_equal(nacre_key_read_private(&reader, &again), 0);
		assert_true(nacre_reader_done(&reader));
		check_signs(again, key, NULL);
		nacre_key_free(key);
		nacre_key_free(again);
	}
	assert_int_equal(
	    nacre_key_generate(NACRE_KEY_ED25519_SK, 0, &key), NACRE_ERROR_UNSUPPORTED);
	nacre_buffer_free(&encoded);
}

static void
test_private_must_fit_public(void **state)
{
	static const char *const names[] = {"ed25519", "ecdsa256", "rsa"};
	struct nacre_buffer encoded = {0};
	struct nacre_reader reader;
	struct nacre_key *key, *again = NULL;

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		key = private_read(names[i], "");
		nacre_buffer_clear(&encoded);
		nacre_key_write_private(key, &encoded);
		encoded.data[encoded.end - 1] ^= 1;
		reader = nacre_reader_of(nacre_buffer_span(&encoded));
		assert_int_equal(nacre_key_read_private(&reader, &again), NACRE_ERROR_FORMAT);
		nacre_key_free(key);
	}
	nacre_buffer_free(&encoded);
}

static void
test_rsa_algorithms(void **state)
{
	struct nacre_key *key = private_read("rsa", ""), *other = private_read("ed25519", "");
	struct nacre_span text = nacre_span_of("text");
	struct nacre_buffer signature = {0};

	(void)state;
	check_signs(key, key, "rsa-sha2-256");
	check_signs(key, key, "rsa-sha2-512");
	check_signs(key, key, "ssh-rsa");
	assert_string_equal(nacre_key_signature_algorithms(key), "rsa-sha2-512,rsa-sha2-256");
	assert_int_equal(nacre_key_sign(key, "ssh-rsa", text, &signature), 0);
	/* SHA-1 is verified by name only. */
	assert_int_equal(nacre_key_verify(key, NULL, nacre_buffer_span(&signature), text),
	    NACRE_ERROR_SIGNATURE);
	assert_int_equal(nacre_key_verify(key, "rsa-sha2-512", nacre_buffer_span(&signature), text),
	    NACRE_ERROR_SIGNATURE);
	assert_int_equal(
	    nacre_key_sign(key, "ssh-ed25519", text, &signature), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(
	    nacre_key_sign(other, "rsa-sha2-256", text, &signature), NACRE_ERROR_UNSUPPORTED);
	nacre_buffer_free(&signature);
	nacre_key_free(key);
	nacre_key_free(other);
}

static void
test_user_certificate(void **state)
{
	struct nacre_key *key = public_read("ed25519-cert.pub"),
			 *plain = public_read("ed25519.pub");
	const struct nacre_certificate *certificate = nacre_key_certificate(key);
	struct nacre_reader reader;
	struct nacre_span span;
	const char *reason;

	(void)state;
	assert_string_equal(nacre_key_format(key), "ssh-ed25519-cert-v01@openssh.com");
	assert_true(nacre_key_equal(key, plain));
	assert_int_equal(certificate->serial, 42);
	assert_int_equal(certificate->type, NACRE_CERTIFICATE_USER);
	assert_true(nacre_span_equals(certificate->key_id, "user certificate"));
	assert_true(nacre_span_equals(certificate->signature_algorithm, "ssh-ed25519"));
	reader = nacre_reader_of(certificate->principals);
	assert_true(nacre_certificate_next_principal(&reader, &span));
	assert_true(nacre_span_equals(span, "alice"));
	assert_true(nacre_certificate_next_principal(&reader, &span));
	assert_true(nacre_span_equals(span, "bob"));
	assert_false(nacre_certificate_next_principal(&reader, &span));
	assert_true(
	    nacre_certificate_option(certificate->critical_options, "force-command", &span));
	assert_true(nacre_span_equals(span, "/bin/true"));
	assert_true(
	    nacre_certificate_option(certificate->critical_options, "source-address", &span));
	assert_true(nacre_span_equals(span, "10.0.0.0/8"));
	assert_false(nacre_certificate_option(certificate->extensions, "permit-pty", NULL));
	assert_true(
	    nacre_certificate_option(certificate->extensions, "permit-agent-forwarding", &span));
	assert_int_equal(span.length, 0);
	assert_int_equal(nacre_certificate_check(
			     certificate, NACRE_CERTIFICATE_USER, "alice", 1700000000, &reason),
	    0);
	assert_int_equal(nacre_certificate_check(
			     certificate, NACRE_CERTIFICATE_USER, "carol", 1700000000, &reason),
	    NACRE_ERROR_REFUSED);
	assert_int_equal(nacre_certificate_check(
			     certificate, NACRE_CERTIFICATE_HOST, "alice", 1700000000, &reason),
	    NACRE_ERROR_REFUSED);
	assert_int_equal(nacre_certificate_check(certificate, NACRE_CERTIFICATE_USER, "alice",
			     certificate->valid_before, &reason),
	    NACRE_ERROR_REFUSED);
	assert_string_equal(reason, "Certificate invalid: expired");
	assert_int_equal(nacre_certificate_check(certificate, NACRE_CERTIFICATE_USER, NULL,
			     certificate->valid_after - 1, &reason),
	    NACRE_ERROR_REFUSED);
	nacre_key_free(key);
	nacre_key_free(plain);
}

static void
test_certificate_with_private_key(void **state)
{
	struct nacre_key *key = private_read("rsa", ""), *certificate = public_read("rsa-cert.pub");
	struct nacre_key *other = private_read("ed25519", ""), *again, *copy;
	struct nacre_buffer encoded = {0}, blob = {0}, blob_again = {0};
	struct nacre_reader reader;

	(void)state;
	assert_int_equal(nacre_key_attach_certificate(other, certificate), NACRE_ERROR_ARGUMENT);
	assert_int_equal(nacre_key_attach_certificate(key, certificate), 0);
	assert_string_equal(nacre_key_format(key), "ssh-rsa-cert-v01@openssh.com");
	check_signs(key, certificate, "rsa-sha2-256-cert-v01@openssh.com");
	check_signs(key, certificate, "rsa-sha2-256");
	assert_int_equal(nacre_key_write_private(key, &encoded), 0);
	reader = nacre_reader_of(nacre_buffer_span(&encoded));
	assert_int_equal(nacre_key_read_private(&reader, &again), 0);
	assert_true(nacre_reader_done(&reader));
	assert_int_equal(nacre_key_copy_public(again, &copy), 0);
	assert_false(nacre_key_is_private(copy));
	nacre_key_put_blob(certificate, false, &blob);
	nacre_key_put_blob(copy, false, &blob_again);
	assert_true(nacre_span_equal(nacre_buffer_span(&blob), nacre_buffer_span(&blob_again)));
	assert_true(nacre_key_equal(
	    nacre_key_certificate(copy)->authority, nacre_key_certificate(certificate)->authority));
	nacre_key_free(key);
	nacre_key_free(other);
	nacre_key_free(again);
	nacre_key_free(copy);
	nacre_key_free(certificate);
	nacre_buffer_free(&encoded);
	nacre_buffer_free(&blob);
	nacre_buffer_free(&blob_again);
}

/* No byte of a certificate can be changed or left out. */
static void
test_damaged_certificate(void **state)
{
	struct nacre_key *key = public_read("ed25519-cert.pub"), *none = NULL;
	struct nacre_buffer blob = {0};

	(void)state;
	nacre_key_put_blob(key, false, &blob);
	for (size_t i = 0; i < nacre_buffer_length(&blob); i++) {
		assert_int_not_equal(
		    nacre_key_from_blob((struct nacre_span){blob.data, i}, &none), 0);
		blob.data[i] ^= 0x40;
		assert_int_not_equal(nacre_key_from_blob(nacre_buffer_span(&blob), &none), 0);
		blob.data[i] ^= 0x40;
	}
	nacre_key_free(key);
	nacre_buffer_free(&blob);
}

/* Vectors: fields in hexadecimal, separated by spaces. */
static struct nacre_span
field_next(char **line, uint8_t *bytes)
{
	char *text = strsep(line, " \n");
	size_t length = 0;
	unsigned byte;

	assert_non_null(text);
	for (; text[0] != '-' && text[0] != '\0'; text += 2) {
		assert_int_equal(sscanf(text, "%2x", &byte), 1);
		bytes[length++] = (uint8_t)byte;
	}
	return (struct nacre_span){bytes, length};
}

static void
number_put(struct nacre_buffer *buffer, struct nacre_span number)
{
	nacre_put_mpint(buffer, number.data, number.length);
}

enum { FIELDS_MAX = 4 };

static void
ed25519_case(
    const struct nacre_span *fields, struct nacre_buffer *key, struct nacre_buffer *signature)
{
	nacre_put_cstring(key, "ssh-ed25519");
	nacre_put_string_span(key, fields[0]);
	nacre_put_cstring(signature, "ssh-ed25519");
	nacre_put_string_span(signature, fields[2]);
}

static void
ecdsa_case(const char *curve, const struct nacre_span *fields, struct nacre_buffer *key,
    struct nacre_buffer *signature)
{
	char name[64];
	size_t mark;

	snprintf(name, sizeof name, "ecdsa-sha2-%s", curve);
	nacre_put_cstring(key, name);
	nacre_put_cstring(key, curve);
	nacre_put_string_span(key, fields[0]);
	nacre_put_cstring(signature, name);
	mark = nacre_put_string_begin(signature);
	number_put(signature, fields[2]);
	number_put(signature, fields[3]);
	nacre_put_string_end(signature, mark);
}

static void
ecdsa256_case(const struct nacre_span *f, struct nacre_buffer *key, struct nacre_buffer *signature)
{
	ecdsa_case("nistp256", f, key, signature);
}

static void
ecdsa384_case(const struct nacre_span *f, struct nacre_buffer *key, struct nacre_buffer *signature)
{
	ecdsa_case("nistp384", f, key, signature);
}

static void
ecdsa521_case(const struct nacre_span *f, struct nacre_buffer *key, struct nacre_buffer *signature)
{
	ecdsa_case("nistp521", f, key, signature);
}

static void
rsa_case(const char *algorithm, const struct nacre_span *fields, struct nacre_buffer *key,
    struct nacre_buffer *signature)
{
	nacre_put_cstring(key, "ssh-rsa");
	number_put(key, fields[1]);
	number_put(key, fields[0]);
	nacre_put_cstring(signature, algorithm);
	nacre_put_string_span(signature, fields[3]);
}

static void
rsa256_case(const struct nacre_span *f, struct nacre_buffer *key, struct nacre_buffer *signature)
{
	rsa_case("rsa-sha2-256", f, key, signature);
}

static void
rsa512_case(const struct nacre_span *f, struct nacre_buffer *key, struct nacre_buffer *signature)
{
	rsa_case("rsa-sha2-512", f, key, signature);
}

static void
vectors_run(const char *path, size_t count, size_t message,
    void (*build)(const struct nacre_span *, struct nacre_buffer *, struct nacre_buffer *))
{
	static uint8_t bytes[FIELDS_MAX][65536];
	static char text[300000];
	struct nacre_buffer blob = {0}, signature = {0};
	struct nacre_span fields[FIELDS_MAX] = {{0}};
	struct nacre_key *key;
	FILE *file = fopen(path, "r");
	unsigned accepted = 0, refused = 0;
	char *line, *result;

	assert_non_null(file);
	while (fgets(text, sizeof text, file) != NULL) {
		if (text[0] == '#')
			continue;
		line = text;
		result = strsep(&line, " ");
		for (size_t i = 0; i < count; i++)
			fields[i] = field_next(&line, bytes[i]);
		nacre_buffer_clear(&blob);
		nacre_buffer_clear(&signature);
		build(fields, &blob, &signature);
		key = NULL;
		assert_int_equal(nacre_key_from_blob(nacre_buffer_span(&blob), &key), 0);
		if (nacre_key_verify(key, NULL, nacre_buffer_span(&signature), fields[message]) ==
		    0) {
			assert_string_not_equal(result, "invalid");
			accepted++;
		} else {
			assert_string_not_equal(result, "valid");
			refused++;
		}
		nacre_key_free(key);
	}
	assert_true(accepted > 3 && refused > 20);
	fclose(file);
	nacre_buffer_free(&blob);
	nacre_buffer_free(&signature);
}

static void
test_wycheproof(void **state)
{
	(void)state;
	vectors_run("tests/vectors/wycheproof_ed25519.txt", 3, 1, ed25519_case);
	vectors_run("tests/vectors/wycheproof_ecdsa256.txt", 4, 1, ecdsa256_case);
	vectors_run("tests/vectors/wycheproof_ecdsa384.txt", 4, 1, ecdsa384_case);
	vectors_run("tests/vectors/wycheproof_ecdsa521.txt", 4, 1, ecdsa521_case);
	vectors_run("tests/vectors/wycheproof_rsa_sha256.txt", 4, 2, rsa256_case);
	vectors_run("tests/vectors/wycheproof_rsa_sha512.txt", 4, 2, rsa512_case);
}

/* SHA-256 of "ssh:" and of "data". */
static const char security_key_hashes[] =
    "e30610e8a162115960fe1ec223e6529c9f4b6e80200dcb5e5c321c8af1e2b1bf "
    "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7";

/* The signature of an authenticator, whose role an ordinary key plays. */
static void
authenticator_sign(
    const struct nacre_key *inner, const char *name, uint8_t flags, struct nacre_buffer *signature)
{
	struct nacre_buffer text = {0}, raw = {0};
	char copy[sizeof security_key_hashes], *line = copy;
	struct nacre_reader reader;
	uint8_t bytes[64];

	memcpy(copy, security_key_hashes, sizeof copy);
	nacre_put_span(&text, field_next(&line, bytes));
	nacre_put_byte(&text, flags);
	nacre_put_u32(&text, 7);
	nacre_put_span(&text, field_next(&line, bytes));
	assert_int_equal(nacre_key_sign(inner, NULL, nacre_buffer_span(&text), &raw), 0);
	reader = nacre_reader_of(nacre_buffer_span(&raw));
	nacre_get_string(&reader);
	nacre_buffer_clear(signature);
	nacre_put_cstring(signature, name);
	nacre_put_string_span(signature, nacre_get_string(&reader));
	nacre_put_byte(signature, flags);
	nacre_put_u32(signature, 7);
	nacre_buffer_free(&text);
	nacre_buffer_free(&raw);
}

/* "strings" is how many stand behind the name in the ordinary key. */
static struct nacre_key *
security_key_make(const struct nacre_key *inner, const char *name, unsigned strings)
{
	struct nacre_buffer blob = {0}, plain = {0};
	struct nacre_key *key = NULL;
	struct nacre_reader reader;

	nacre_key_put_blob(inner, true, &plain);
	reader = nacre_reader_of(nacre_buffer_span(&plain));
	nacre_get_string(&reader);
	nacre_put_cstring(&blob, name);
	while (strings-- > 0)
		nacre_put_string_span(&blob, nacre_get_string(&reader));
	nacre_put_cstring(&blob, "ssh:");
	assert_int_equal(nacre_key_from_blob(nacre_buffer_span(&blob), &key), 0);
	nacre_buffer_free(&blob);
	nacre_buffer_free(&plain);
	return key;
}

static void
check_security_key(const char *inner_name, const char *name, unsigned strings, const char *label)
{
	struct nacre_key *inner = private_read(inner_name, "");
	struct nacre_key *key = security_key_make(inner, name, strings);
	struct nacre_span data = nacre_span_of("data"), span;
	struct nacre_signature_details details;
	struct nacre_buffer signature = {0};

	assert_true(nacre_span_equals(nacre_key_application(key), "ssh:"));
	assert_string_equal(nacre_key_type_label(key), label);
	for (uint8_t flags = 0; flags <= 5; flags += 5) {
		authenticator_sign(inner, name, flags, &signature);
		span = nacre_buffer_span(&signature);
		assert_int_equal(nacre_key_verify_details(key, NULL, span, data, &details), 0);
		assert_int_equal(details.flags, flags);
		assert_int_equal(details.counter, 7);
		/* Without a touch it does not count. */
		assert_int_equal(nacre_key_verify(key, NULL, span, data),
		    flags == 0 ? NACRE_ERROR_SIGNATURE : 0);
		signature.data[signature.end - 1] ^= 1;
		assert_int_equal(nacre_key_verify_details(key, NULL, span, data, &details),
		    NACRE_ERROR_SIGNATURE);
	}
	nacre_key_free(inner);
	nacre_key_free(key);
	nacre_buffer_free(&signature);
}

static void
test_security_keys(void **state)
{
	(void)state;
	check_security_key("ed25519", "sk-ssh-ed25519@openssh.com", 1, "ED25519-SK");
	check_security_key("ecdsa256", "sk-ecdsa-sha2-nistp256@openssh.com", 2, "ECDSA-SK");
}

static void
test_unsafe_mode(void **state)
{
	char path[] = "/tmp/nacre-key-XXXXXX";
	struct nacre_buffer content = {0}, text = {0};
	struct nacre_key *key = NULL;
	unsigned mode = 0;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	file_read("ed25519", &content);
	assert_int_equal(
	    write(fd, content.data, nacre_buffer_length(&content)), nacre_buffer_length(&content));
	assert_int_equal(nacre_key_load_private(path, nothing, &key, NULL, &mode), 0);
	nacre_key_free(key);
	fchmod(fd, 0644);
	assert_int_equal(
	    nacre_key_load_private(path, nothing, &key, NULL, &mode), NACRE_ERROR_PERMISSION);
	assert_int_equal(mode, 0644);
	nacre_key_put_unprotected("x", mode, &text);
	nacre_put_byte(&text, 0);
	assert_non_null(strstr((char *)text.data, "Permissions 0644 for 'x' are too open.\n"));
	close(fd);
	unlink(path);
	assert_int_equal(
	    nacre_key_load_private(path, nothing, &key, NULL, &mode), NACRE_ERROR_SYSTEM);
	nacre_buffer_free(&content);
	nacre_buffer_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_files_of_ssh_keygen),
	    cmocka_unit_test(test_ed25519_pkcs8),
	    cmocka_unit_test(test_public_half_without_passphrase),
	    cmocka_unit_test(test_written_files_are_read),
	    cmocka_unit_test(test_damaged_files),
	    cmocka_unit_test(test_fingerprints_and_randomart),
	    cmocka_unit_test(test_public_text_forms),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_generated_keys),
	    cmocka_unit_test(test_private_must_fit_public),
	    cmocka_unit_test(test_rsa_algorithms),
	    cmocka_unit_test(test_user_certificate),
	    cmocka_unit_test(test_certificate_with_private_key),
	    cmocka_unit_test(test_damaged_certificate),
	    cmocka_unit_test(test_wycheproof),
	    cmocka_unit_test(test_security_keys),
	    cmocka_unit_test(test_unsafe_mode),
	};

	return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
