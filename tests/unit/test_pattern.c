/* Wildcards, negated lists, networks. */
#include <nacre/pattern.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void
matches_wildcards(void **state)
{
	static const struct {
		const char *text, *pattern;
		bool matches;
	} cases[] = {{"", "", true}, {"", "*", true}, {"", "?", false}, {"a", "", false},
	    {"abc", "abc", true}, {"abc", "a?c", true}, {"abc", "a*", true}, {"abc", "*c", true},
	    {"abc", "*b*", true}, {"abc", "a*b", false}, {"abc", "?", false}, {"abc", "***", true},
	    {"aXbXc", "a*b*c", true}, {"host.co.uk", "*.co.uk", true}, {"co.uk", "*.co.uk", false},
	    {"192.168.0.5", "192.168.0.?", true}, {"192.168.0.50", "192.168.0.?", false},
	    {"mississippi", "m*iss*ip*i", true}, {"ABC", "abc", false}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(nacre_pattern_match(
				     nacre_span_of(cases[i].text), nacre_span_of(cases[i].pattern)),
		    cases[i].matches);
	assert_true(
	    nacre_pattern_match_host(nacre_span_of("Host.EXAMPLE"), nacre_span_of("hOST.*")));
}

/* A pattern that makes a backtracking matcher take for ever. */
static void
is_not_slowed_by_hostile_patterns(void **state)
{
	char text[4001], pattern[2001];
	clock_t start = clock();

	(void)state;
	memset(text, 'a', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (size_t i = 0; i + 2 < sizeof pattern; i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + sizeof pattern - 3, "*b", 3);
	assert_false(nacre_pattern_match(nacre_span_of(text), nacre_span_of(pattern)));
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 2);
}

static void
negates_in_lists(void **state)
{
	static const struct {
		const char *text, *list;
		enum nacre_match match;
	} cases[] = {{"a", "a,b", NACRE_MATCH_FOUND}, {"c", "a,b", NACRE_MATCH_NONE},
	    {"b", "!b,*", NACRE_MATCH_NEGATED}, {"b", "*,!b", NACRE_MATCH_NEGATED},
	    {"a", "!b", NACRE_MATCH_NONE}, {"a", "!b,*", NACRE_MATCH_FOUND},
	    {"a", "", NACRE_MATCH_NONE}, {"a", ",,a", NACRE_MATCH_FOUND}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(nacre_pattern_list(nacre_span_of(cases[i].text),
				     nacre_span_of(cases[i].list), false),
		    cases[i].match);
}

static void
matches_networks(void **state)
{
	static const struct {
		const char *address, *list;
		int match;
	} cases[] = {{"192.0.2.7", "192.0.2.0/24", NACRE_MATCH_FOUND},
	    {"192.0.3.7", "192.0.2.0/24", NACRE_MATCH_NONE},
	    {"192.0.2.7", "192.0.2.*", NACRE_MATCH_FOUND},
	    {"192.0.2.7", "192.0.2.7", NACRE_MATCH_FOUND},
	    {"192.0.2.7", "0.0.0.0/0", NACRE_MATCH_FOUND},
	    {"192.0.2.7", "!192.0.2.7,192.0.2.0/24", NACRE_MATCH_NEGATED},
	    {"192.0.2.7", "192.0.2.0/24,!192.0.2.7", NACRE_MATCH_NEGATED},
	    {"192.0.2.127", "192.0.2.0/25", NACRE_MATCH_FOUND},
	    {"192.0.2.128", "192.0.2.0/25", NACRE_MATCH_NONE},
	    {"2001:db8::1", "2001:db8::/32", NACRE_MATCH_FOUND},
	    {"2001:db9::1", "2001:db8::/32", NACRE_MATCH_NONE},
	    {"2001:0db8:0::1", "2001:db8::1", NACRE_MATCH_FOUND},
	    {"::ffff:192.0.2.7", "192.0.2.0/24", NACRE_MATCH_FOUND},
	    {"192.0.2.7", "::ffff:192.0.2.0/120", NACRE_MATCH_FOUND},
	    {"192.0.3.7", "::ffff:192.0.2.0/120", NACRE_MATCH_NONE},
	    {"192.0.2.7", "::ffff:192.0.2.0/24", NACRE_ERROR_FORMAT},
	    {"fe80::1%eth0", "fe80::/10", NACRE_MATCH_FOUND},
	    {"192.0.2.7", "2001:db8::/32", NACRE_MATCH_NONE},
	    {"192.0.2.7", "192.0.2.0/33", NACRE_ERROR_FORMAT},
	    {"192.0.2.7", "192.0.2.1/24", NACRE_ERROR_FORMAT},
	    {"192.0.2.7", "192.0.2.0/x", NACRE_ERROR_FORMAT},
	    {"192.0.2.7", "192.0.2.0/", NACRE_ERROR_FORMAT},
	    {NULL, "192.0.2.0/24,2001:db8::/32,*", NACRE_MATCH_NONE},
	    {NULL, "2001:db8::1/32", NACRE_ERROR_FORMAT}};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_int_equal(nacre_address_list(cases[i].address, nacre_span_of(cases[i].list)),
		    cases[i].match);
	assert_int_equal(
	    nacre_address_list_strict("192.0.2.7", nacre_span_of("192.0.*")), NACRE_ERROR_FORMAT);
}

static void
matches_a_host_by_name_or_address(void **state)
{
	(void)state;
	assert_int_equal(
	    nacre_host_and_address_list("a.example", "192.0.2.7", nacre_span_of("*.example")),
	    NACRE_MATCH_FOUND);
	assert_int_equal(
	    nacre_host_and_address_list("a.example", "192.0.2.7", nacre_span_of("192.0.2.0/24")),
	    NACRE_MATCH_FOUND);
	assert_int_equal(nacre_host_and_address_list(
			     "a.example", "192.0.2.7", nacre_span_of("!*.example,192.0.2.0/24")),
	    NACRE_MATCH_NEGATED);
	assert_int_equal(nacre_host_and_address_list(
			     "a.example", "192.0.2.7", nacre_span_of("*.example,!192.0.2.0/24")),
	    NACRE_MATCH_NEGATED);
	assert_int_equal(
	    nacre_host_and_address_list("a.example", "192.0.2.7", nacre_span_of("b.example")),
	    NACRE_MATCH_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(matches_wildcards),
	    cmocka_unit_test(is_not_slowed_by_hostile_patterns),
	    cmocka_unit_test(negates_in_lists),
	    cmocka_unit_test(matches_networks),
	    cmocka_unit_test(matches_a_host_by_name_or_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
