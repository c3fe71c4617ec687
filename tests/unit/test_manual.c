/* Every keyword of a server that has an effect is in its manual page. (Run from the top of the source tree.) */
#include <config/sshd_private.h>
#include <config/sshd_values.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PAGE_MOST ((size_t)1024 * 1024)

/* Rows that are there to be passed over or refused. */
static bool
is_documented_elsewhere(const struct keyword *keyword)
{
	const struct value_type *const types[] = {&value_alias, &value_ignored, &value_deprecated,
	    &value_unsupported, &value_kerberos, &value_routing_domain};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (keyword->type == types[i])
			return true;
	return false;
}

/* As the head of an entry, whose values may follow it. */
static bool
page_has(const char *page, const char *name)
{
	char head[100];
	const char *place = page;

	const int length = snprintf(head, sizeof head, "\n.It Cm %s", name);
	while ((place = strcasestr(place, head)) != NULL) {
		if (place[length] == ' ' || place[length] == '\n')
			return true;
		place++;
	}
	return false;
}

static void
check_page(const char *path, const struct keyword *table, size_t count)
{
	static char page[PAGE_MOST];
	FILE *const file = fopen(path, "r");
	unsigned missing = 0;

	assert_non_null(file);
	const size_t length = fread(page, 1, sizeof page - 1, file);
	page[length] = '\0';
	assert_int_equal(fclose(file), 0);
	assert_true(length > 0 && length < sizeof page - 1);
	for (size_t i = 0; i < count; i++) {
		if (is_documented_elsewhere(&table[i]) || page_has(page, table[i].name))
			continue;
		print_error("%s does not describe %s\n", path, table[i].name);
		missing++;
	}
	assert_int_equal(missing, 0);
}

static void
sshd_config_is_complete(void **state)
{
	(void)state;
	check_page("man/sshd_config.5", sshd_keywords, sshd_keyword_count);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sshd_config_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
