/* Key revocation lists: made, asked, read again; and what is wrong with bad ones. */
#include <nacre/certificate.h>
#include <nacre/krl.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY       "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPd42XfX3PePyfOHrxiRfu4m22+r0aldjP2hKW7lqJ/q"
#define AUTHORITY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBSXIIA8TEw2i5/t/gF+Z9BQYb95E0OhRVQ3eWt2VH65"
#define OTHER     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIFTNUGsjH7DPQc4NU5lOw+FhrvGqc5K3STOqPmNw7Rr"
/* Of KEY by AUTHORITY, with serial number 3 and key id "hello". */
#define CERTIFICATE                                                                        \
	"ssh-ed25519-cert-v01@openssh.com "                                                \
	"AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIMAHtzutU6i56BgAqn6d/3KDhI5Q" \
	"YSx0WprgBQtiVd04AAAAIPd42XfX3PePyfOHrxiRfu4m22+r0aldjP2hKW7lqJ/qAAAAAAAAAAMAAAAB" \
	"AAAABWhlbGxvAAAABQAAAAF4AAAAAAAAAAD//////////wAAAAAAAACCAAAAFXBlcm1pdC1YMTEtZm9y" \
	"d2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZv" \
	"cndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAz" \
	"AAAAC3NzaC1lZDI1NTE5AAAAIBSXIIA8TEw2i5/t/gF+Z9BQYb95E0OhRVQ3eWt2VH65AAAAUwAAAAtz" \
	"c2gtZWQyNTUxOQAAAEB+1eruOLbq3KDFvqmhshkFBxCUMfPxpC5DGr35rUAlUjeypegsB2TFQNs1mxuE" \
	"zbA+8UEBpZ2WCO0BRApUf50I"

static struct nacre_key *
key_of(const char *line)
{
	struct nacre_key *key = NULL;

	assert_int_equal(nacre_key_from_line(nacre_span_of(line), &key, NULL), 0);
	return key;
}

/* What a list says about a line: 0 or NACRE_ERROR_NOT_FOUND. */
static int
says(struct nacre_krl *krl, const char *line)
{
	struct nacre_buffer file = {0};
	struct nacre_key *key = key_of(line);

	assert_int_equal(nacre_krl_encode(krl, &file), 0);
	assert_true(nacre_krl_is(nacre_buffer_span(&file)));
	int verdict = nacre_krl_find(nacre_buffer_span(&file), key);
	nacre_key_free(key);
	nacre_buffer_free(&file);
	return verdict;
}

static struct nacre_krl *
empty(void)
{
	struct nacre_krl *krl = NULL;

	assert_int_equal(nacre_krl_new(&krl), 0);
	return krl;
}

static void
revokes_keys(void **state)
{
	struct nacre_krl *krl = empty();
	struct nacre_key *key = key_of(KEY), *authority = key_of(AUTHORITY);

	(void)state;
	assert_int_equal(says(krl, KEY), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(nacre_krl_revoke_key(krl, key), 0);
	assert_int_equal(says(krl, KEY), 0);
	assert_int_equal(says(krl, CERTIFICATE), 0);
	assert_int_equal(says(krl, OTHER), NACRE_ERROR_NOT_FOUND);
	nacre_krl_free(krl);
	krl = empty();
	assert_int_equal(nacre_krl_revoke_key(krl, authority), 0);
	assert_int_equal(says(krl, CERTIFICATE), 0);
	assert_int_equal(says(krl, KEY), NACRE_ERROR_NOT_FOUND);
	nacre_krl_free(krl);
	nacre_key_free(key);
	nacre_key_free(authority);
}

static void
revokes_hashes(void **state)
{
	/* Of KEY, as ssh-keygen -l shows it. */
	static const uint8_t sha256[] = {0x65, 0x55, 0xc0, 0x48, 0x56, 0xc5, 0x32, 0xc8, 0x94, 0xef,
	    0xf5, 0xf0, 0xc9, 0xb1, 0x6c, 0x41, 0x4c, 0x0f, 0x3a, 0xc1, 0x6a, 0x7f, 0xc5, 0x54,
	    0x91, 0xab, 0xe2, 0x06, 0xbf, 0x58, 0x2d, 0x19};
	/* Of AUTHORITY. */
	static const uint8_t sha1[] = {0x7e, 0x7b, 0x6b, 0x3c, 0xe2, 0x25, 0x9f, 0x33, 0x9c, 0x4b,
	    0x05, 0x08, 0x6a, 0xa2, 0x41, 0xc2, 0x5d, 0x09, 0x77, 0xb9};
	struct nacre_krl *krl = empty();

	(void)state;
	assert_int_equal(nacre_krl_revoke_hash(
			     krl, NACRE_KRL_SHA256, (struct nacre_span){sha256, sizeof sha256}),
	    0);
	assert_int_equal(
	    nacre_krl_revoke_hash(krl, NACRE_KRL_SHA1, (struct nacre_span){sha256, sizeof sha256}),
	    NACRE_ERROR_ARGUMENT);
	assert_int_equal(says(krl, KEY), 0);
	assert_int_equal(says(krl, AUTHORITY), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(
	    nacre_krl_revoke_hash(krl, NACRE_KRL_SHA1, (struct nacre_span){sha1, sizeof sha1}), 0);
	assert_int_equal(says(krl, AUTHORITY), 0);
	nacre_krl_free(krl);
}

static int
verdict_of_serials(const char *authority_line, const uint64_t (*ranges)[2], size_t count)
{
	struct nacre_krl *krl = empty();
	struct nacre_key *authority = authority_line != NULL ? key_of(authority_line) : NULL;

	for (size_t i = 0; i < count; i++)
		assert_int_equal(
		    nacre_krl_revoke_serials(krl, authority, ranges[i][0], ranges[i][1]), 0);
	int verdict = says(krl, CERTIFICATE);
	assert_int_equal(says(krl, KEY), NACRE_ERROR_NOT_FOUND);
	nacre_krl_free(krl);
	nacre_key_free(authority);
	return verdict;
}

static void
revokes_serials(void **state)
{
	static const uint64_t single[][2] = {{3, 3}}, others[][2] = {{1, 2}, {4, UINT64_MAX}},
			      all[][2] = {{1, UINT64_MAX}},
			      bits[][2] = {{1, 1}, {3, 3}, {5, 9}, {200, 200}},
			      other_bits[][2] = {{1, 1}, {5, 5}, {7, 7}, {9, 9}},
			      far[][2] = {{3, 3}, {1000000, 1000000}};

	(void)state;
	assert_int_equal(verdict_of_serials(AUTHORITY, single, 1), 0);
	assert_int_equal(verdict_of_serials(OTHER, single, 1), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(verdict_of_serials(NULL, single, 1), 0);
	assert_int_equal(verdict_of_serials(AUTHORITY, others, 2), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(verdict_of_serials(AUTHORITY, all, 1), 0);
	assert_int_equal(verdict_of_serials(AUTHORITY, bits, 4), 0);
	assert_int_equal(verdict_of_serials(AUTHORITY, other_bits, 4), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(verdict_of_serials(AUTHORITY, far, 2), 0);
	struct nacre_krl *krl = empty();
	assert_int_equal(nacre_krl_revoke_serials(krl, NULL, 0, 1), NACRE_ERROR_ARGUMENT);
	assert_int_equal(nacre_krl_revoke_serials(krl, NULL, 2, 1), NACRE_ERROR_ARGUMENT);
	nacre_krl_free(krl);
}

static void
revokes_key_ids(void **state)
{
	struct nacre_krl *krl = empty();

	(void)state;
	assert_int_equal(nacre_krl_revoke_key_id(krl, NULL, nacre_span_of("hell")), 0);
	assert_int_equal(says(krl, CERTIFICATE), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(nacre_krl_revoke_key_id(krl, NULL, nacre_span_of("hello")), 0);
	assert_int_equal(says(krl, CERTIFICATE), 0);
	nacre_krl_free(krl);
}

/* What is read and written again is the same file, and is shown as it should be. */
static void
keeps_everything(void **state)
{
	static const char expected[] =
	    "# Comment: lost keys\n\n"
	    "hash: SHA256:ZVXASFbFMsiU7/XwybFsQUwPOsFqf8VUkaviBr9YLRk # ssh-ed25519\n\n"
	    "# CA key ssh-ed25519 SHA256:xrg4UzmpUvG6DVKBs2eZ88pg9qm6mUHQPJTnHyiUIL0\n"
	    "serial: 1\nserial: 3-5\nserial: 7\nserial: 500-900\nid: a\nid: b\n\n"
	    "# Wildcard CA\nserial: 9\n";
	struct nacre_buffer file = {0}, again = {0}, text = {0};
	struct nacre_krl *krl = empty();
	struct nacre_key *key = key_of(KEY), *authority = key_of(AUTHORITY);

	(void)state;
	assert_int_equal(nacre_krl_describe(krl, 42, 1, "lost keys"), 0);
	assert_int_equal(nacre_krl_revoke_key(krl, key), 0);
	assert_int_equal(nacre_krl_revoke_key(krl, key), 0);
	assert_int_equal(nacre_krl_revoke_serials(krl, authority, 7, 7), 0);
	assert_int_equal(nacre_krl_revoke_serials(krl, authority, 500, 800), 0);
	assert_int_equal(nacre_krl_revoke_serials(krl, authority, 700, 900), 0);
	assert_int_equal(nacre_krl_revoke_serials(krl, authority, 3, 4), 0);
	assert_int_equal(nacre_krl_revoke_serials(krl, authority, 5, 5), 0);
	assert_int_equal(nacre_krl_revoke_serials(krl, authority, 1, 1), 0);
	assert_int_equal(nacre_krl_revoke_key_id(krl, authority, nacre_span_of("b")), 0);
	assert_int_equal(nacre_krl_revoke_key_id(krl, authority, nacre_span_of("a")), 0);
	assert_int_equal(nacre_krl_revoke_serials(krl, NULL, 9, 9), 0);
	assert_int_equal(nacre_krl_encode(krl, &file), 0);
	nacre_krl_free(krl);
	krl = empty();
	assert_int_equal(nacre_krl_load(krl, nacre_buffer_span(&file)), 0);
	assert_true(nacre_krl_version(krl) == 42);
	assert_int_equal(nacre_krl_encode(krl, &again), 0);
	assert_true(nacre_span_equal(nacre_buffer_span(&file), nacre_buffer_span(&again)));
	assert_int_equal(nacre_krl_put_text(krl, &text), 0);
	nacre_put_byte(&text, 0);
	assert_non_null(strstr((const char *)text.data, "# KRL version 42\n# Generated at 19"));
	assert_string_equal(strstr((const char *)text.data, "# Comment"), expected);
	nacre_krl_free(krl);
	nacre_key_free(key);
	nacre_key_free(authority);
	nacre_buffer_free(&file);
	nacre_buffer_free(&again);
	nacre_buffer_free(&text);
}

/* Sections by hand --------------------------------------------------------------------------- */

static void
begin(struct nacre_buffer *file)
{
	nacre_put_u64(file, 0x5353484b524c0a00ULL);
	nacre_put_u32(file, 1);
	for (size_t i = 0; i < 3; i++)
		nacre_put_u64(file, 0);
	nacre_put_cstring(file, "");
	nacre_put_cstring(file, "");
}

static int
asked(const struct nacre_buffer *file)
{
	struct nacre_key *key = key_of(CERTIFICATE);
	int verdict = nacre_krl_find(nacre_buffer_span(file), key);

	nacre_key_free(key);
	return verdict;
}

/* A list with one section. */
static int
verdict_of_section(uint8_t type, const void *content, size_t length)
{
	struct nacre_buffer file = {0};

	begin(&file);
	nacre_put_byte(&file, type);
	nacre_put_string(&file, content, length);
	int verdict = asked(&file);
	nacre_buffer_free(&file);
	return verdict;
}

static int
verdict_of_subsection(uint8_t type, const void *content, size_t length)
{
	struct nacre_buffer section = {0};

	nacre_put_cstring(&section, "");
	nacre_put_cstring(&section, "");
	nacre_put_byte(&section, type);
	nacre_put_string(&section, content, length);
	int verdict =
	    verdict_of_section(1, section.data + section.start, nacre_buffer_length(&section));
	nacre_buffer_free(&section);
	return verdict;
}

#define BYTES(text)  (text), sizeof(text) - 1
#define NUMBER(last) "\0\0\0\0\0\0\0" last

static void
refuses_what_it_does_not_understand(void **state)
{
	(void)state;
	assert_int_equal(verdict_of_section(9, BYTES("")), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(verdict_of_section(2, BYTES("\0\0\0\1")), NACRE_ERROR_FORMAT);
	assert_int_equal(verdict_of_section(3, BYTES("\0\0\0\2xy")), NACRE_ERROR_FORMAT);
	assert_int_equal(verdict_of_section(5, BYTES("\0\0\0\0")), NACRE_ERROR_FORMAT);
	assert_int_equal(verdict_of_section(1, BYTES("\0\0\0\0")), NACRE_ERROR_FORMAT);
	assert_int_equal(verdict_of_subsection(0x24, BYTES("")), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(verdict_of_subsection(0x20, BYTES(NUMBER("\4") "\0")), NACRE_ERROR_FORMAT);
	assert_int_equal(
	    verdict_of_subsection(0x21, BYTES(NUMBER("\5") NUMBER("\4"))), NACRE_ERROR_FORMAT);
	assert_int_equal(
	    verdict_of_subsection(0x22, BYTES(NUMBER("\0") "\0\0\0\1\x80")), NACRE_ERROR_FORMAT);
	/* Extensions: passed over, unless critical. */
	assert_int_equal(
	    verdict_of_section(255, BYTES("\0\0\0\1x\0\0\0\0\0")), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(
	    verdict_of_section(255, BYTES("\0\0\0\1x\1\0\0\0\0")), NACRE_ERROR_UNSUPPORTED);
	assert_int_equal(
	    verdict_of_subsection(0x39, BYTES("\0\0\0\1x\0\0\0\0\0")), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(
	    verdict_of_subsection(0x39, BYTES("\0\0\0\1x\1\0\0\0\0")), NACRE_ERROR_UNSUPPORTED);
	struct nacre_buffer file = {0};
	begin(&file);
	file.data[file.start + 11] = 2;
	assert_int_equal(asked(&file), NACRE_ERROR_UNSUPPORTED);
	nacre_buffer_free(&file);
}

static void
reads_bitmaps(void **state)
{
	(void)state;
	assert_int_equal(verdict_of_subsection(0x22, BYTES(NUMBER("\0") "\0\0\0\1\x08")), 0);
	assert_int_equal(
	    verdict_of_subsection(0x22, BYTES(NUMBER("\0") "\0\0\0\1\x77")), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(verdict_of_subsection(0x22, BYTES(NUMBER("\3") "\0\0\0\2\1\1")), 0);
	assert_int_equal(
	    verdict_of_subsection(0x22, BYTES(NUMBER("\4") "\0\0\0\2\1\1")), NACRE_ERROR_NOT_FOUND);
	assert_int_equal(
	    verdict_of_subsection(0x22, BYTES(NUMBER("\0") "\0\0\0\0")), NACRE_ERROR_NOT_FOUND);
}

/* A signature must be right, and nothing may follow it. */
static void
verifies_signatures(void **state)
{
	struct nacre_buffer file = {0}, signature = {0}, blob = {0};
	struct nacre_key *key = NULL;

	(void)state;
	assert_int_equal(nacre_key_generate(NACRE_KEY_ED25519, 0, &key), 0);
	assert_int_equal(nacre_key_put_blob(key, true, &blob), 0);
	begin(&file);
	nacre_put_byte(&file, 4);
	nacre_put_string_span(&file, nacre_buffer_span(&blob));
	assert_int_equal(nacre_key_sign(key, NULL, nacre_buffer_span(&file), &signature), 0);
	nacre_put_string_span(&file, nacre_buffer_span(&signature));
	assert_int_equal(asked(&file), NACRE_ERROR_NOT_FOUND);
	size_t whole = nacre_buffer_length(&file);
	nacre_put_byte(&file, 2);
	nacre_put_cstring(&file, "");
	assert_int_equal(asked(&file), NACRE_ERROR_FORMAT);
	nacre_buffer_truncate(&file, whole);
	file.data[file.start + 19] ^= 1;
	assert_int_equal(asked(&file), NACRE_ERROR_SIGNATURE);
	nacre_buffer_truncate(&file, whole - 3);
	assert_int_equal(asked(&file), NACRE_ERROR_FORMAT);
	nacre_key_free(key);
	nacre_buffer_free(&file);
	nacre_buffer_free(&signature);
	nacre_buffer_free(&blob);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(revokes_keys),
	    cmocka_unit_test(revokes_hashes),
	    cmocka_unit_test(revokes_serials),
	    cmocka_unit_test(revokes_key_ids),
	    cmocka_unit_test(keeps_everything),
	    cmocka_unit_test(refuses_what_it_does_not_understand),
	    cmocka_unit_test(reads_bitmaps),
	    cmocka_unit_test(verifies_signatures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
