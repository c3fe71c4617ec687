/* SSHFP records in answers of a name server, and requests that ssh-keysign signs. */
#include <nacre/keysign.h>
#include <nacre/known_hosts.h>

#include <crypto/hash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct nacre_span blob = {(const uint8_t *)"a key", 5};

static void
put_u16(struct nacre_buffer *text, unsigned value)
{
	nacre_put_byte(text, (uint8_t)(value >> 8));
	nacre_put_byte(text, (uint8_t)value);
}

static void
put_header(struct nacre_buffer *answer, unsigned flags, unsigned answers)
{
	const unsigned fields[] = {7, 0x8180 | flags, 1, answers, 0, 0};

	for (size_t i = 0; i < 6; i++)
		put_u16(answer, fields[i]);
	nacre_put_bytes(answer, "\1h\0\0\54\0\1", 7);
}

/* The name is a pointer to that of the question. */
static void
put_record(struct nacre_buffer *answer, unsigned type, uint8_t algorithm, uint8_t hash, bool right)
{
	const struct hash_algorithm *const function = hash == 1 ? &hash_sha1 : &hash_sha256;
	uint8_t digest[HASH_LENGTH_MAX];

	assert_int_equal(hash_span(function, blob, digest), 0);
	digest[0] ^= right ? 0 : 1;
	put_u16(answer, 0xc00c);
	put_u16(answer, type);
	put_u16(answer, 1);
	nacre_put_u32(answer, 3600);
	put_u16(answer, (unsigned)function->length + 2);
	nacre_put_byte(answer, algorithm);
	nacre_put_byte(answer, hash);
	nacre_put_bytes(answer, digest, function->length);
}

static struct nacre_sshfp
judge(struct nacre_buffer *answer)
{
	struct nacre_sshfp result;

	nacre_sshfp_judge(nacre_buffer_span(answer), "ssh-ed25519", blob, &result);
	nacre_buffer_free(answer);
	return result;
}

static void
finds_the_key(void **state)
{
	struct nacre_buffer answer = {0};
	struct nacre_sshfp result;

	(void)state;
	put_header(&answer, 0x20, 3);
	put_record(&answer, 46, 4, 2, false); /* RRSIG */
	put_record(&answer, 44, 1, 2, true);  /* of an RSA key */
	put_record(&answer, 44, 4, 2, true);
	result = judge(&answer);
	assert_true(result.found && result.match && result.secure);
	put_header(&answer, 0, 1);
	put_record(&answer, 44, 4, 2, false);
	result = judge(&answer);
	assert_true(result.found && !result.match && !result.secure);
}

/* RFC 6594 section 4.1: what SHA-256 says counts. */
static void
prefers_sha256(void **state)
{
	struct nacre_buffer answer = {0};

	(void)state;
	put_header(&answer, 0, 1);
	put_record(&answer, 44, 4, 1, true);
	assert_true(judge(&answer).match);
	put_header(&answer, 0, 2);
	put_record(&answer, 44, 4, 1, true);
	put_record(&answer, 44, 4, 2, false);
	assert_false(judge(&answer).match);
}

static void
drops_what_is_cut_short(void **state)
{
	struct nacre_buffer answer = {0};
	struct nacre_sshfp result;

	(void)state;
	put_header(&answer, 0x20, 1);
	put_record(&answer, 44, 4, 2, true);
	for (size_t length = 0; length < nacre_buffer_length(&answer); length++) {
		nacre_sshfp_judge((struct nacre_span){answer.data, length}, "ssh-ed25519", blob, &result);
		assert_false(result.found || result.match || result.secure);
	}
	nacre_buffer_free(&answer);
}

struct request {
	const char *identifier, *user, *service, *method, *host, *client_user;
	uint8_t message;
};

static int
check(const struct request *request)
{
	struct nacre_buffer data = {0};
	struct nacre_span algorithm, key;

	nacre_put_cstring(&data, request->identifier);
	nacre_put_byte(&data, request->message);
	nacre_put_cstring(&data, request->user);
	nacre_put_cstring(&data, request->service);
	nacre_put_cstring(&data, request->method);
	nacre_put_cstring(&data, "ssh-ed25519");
	nacre_put_string_span(&data, blob);
	nacre_put_cstring(&data, request->host);
	nacre_put_cstring(&data, request->client_user);
	const int error =
	    nacre_keysign_check(nacre_buffer_span(&data), "joe", "here.example.", &algorithm, &key);
	if (error == 0)
		assert_true(nacre_span_equal(key, blob));
	for (size_t cut = 0; cut < nacre_buffer_length(&data); cut++)
		assert_int_not_equal(nacre_keysign_check((struct nacre_span){data.data, cut}, "joe",
					 "here.example.", &algorithm, &key),
		    0);
	nacre_buffer_free(&data);
	return error;
}

static void
signs_for_the_caller_alone(void **state)
{
	static const struct request good = {"0123456789abcdefghij0123456789ab", "root",
	    "ssh-connection", "hostbased", "here.example.", "joe", 50};
	struct request request = good;

	(void)state;
	assert_int_equal(check(&request), 0);
	request.client_user = "jim";
	assert_int_equal(check(&request), NACRE_ERROR_REFUSED);
	request = good;
	request.host = "there.example.";
	assert_int_equal(check(&request), NACRE_ERROR_REFUSED);
	request = good;
	request.method = "publickey";
	assert_int_equal(check(&request), NACRE_ERROR_FORMAT);
	request = good;
	request.message = 51;
	assert_int_equal(check(&request), NACRE_ERROR_FORMAT);
	request = good;
	request.identifier = "short";
	assert_int_equal(check(&request), NACRE_ERROR_FORMAT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_the_key),
	    cmocka_unit_test(prefers_sha256),
	    cmocka_unit_test(drops_what_is_cut_short),
	    cmocka_unit_test(signs_for_the_caller_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
