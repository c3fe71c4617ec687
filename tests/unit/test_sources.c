/* Where connections come from: networks, penalties and their bounds; and who has to make room. */
#include <sshd/sources.h>

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STRANGERS 300
#define ROOM      64

static struct nacre_sshd_config
config_of(int most)
{
	return (struct nacre_sshd_config){.per_source_net_block_size4 = 24,
	    .per_source_net_block_size6 = 64,
	    .per_source_penalties = {.enabled = true,
		.crash = 90,
		.authfail = 5,
		.noauth = 1,
		.min = 15,
		.max = 600,
		.max_sources4 = most,
		.max_sources6 = most}};
}

static struct sockaddr_storage
address_of(const char *text)
{
	struct sockaddr_storage address = {.ss_family = AF_INET};
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;

	if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&address)->sin_addr) == 1)
		return address;
	address.ss_family = AF_INET6;
	assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
	return address;
}

static struct source *
find(struct sources *sources, const char *text)
{
	struct sockaddr_storage address = address_of(text);

	return sources_find(sources, &address);
}

static void
test_networks(void **state)
{
	struct nacre_sshd_config config = config_of(100);
	struct sources *sources;
	char text[64];

	(void)state;
	assert_int_equal(sources_new(&config, &sources), 0);
	assert_ptr_equal(find(sources, "192.0.2.1"), find(sources, "192.0.2.200"));
	assert_ptr_equal(find(sources, "192.0.2.1"), find(sources, "::ffff:192.0.2.9"));
	assert_ptr_not_equal(find(sources, "192.0.2.1"), find(sources, "192.0.3.1"));
	assert_ptr_equal(find(sources, "2001:db8::1"), find(sources, "2001:db8::ffff:1"));
	assert_ptr_not_equal(find(sources, "2001:db8::1"), find(sources, "2001:db8:0:1::1"));
	assert_string_equal(
	    source_text(sources, find(sources, "192.0.2.77"), text, sizeof text), "192.0.2.0/24");
	assert_string_equal(
	    source_text(sources, find(sources, "2001:db8::7"), text, sizeof text), "2001:db8::/64");
	sources_free(sources);
}

static void
test_penalties_add_up_and_end(void **state)
{
	struct nacre_sshd_config config = config_of(100);
	struct sources *sources;
	unsigned seconds = 0;

	(void)state;
	assert_int_equal(sources_new(&config, &sources), 0);
	struct source *source = find(sources, "192.0.2.1");
	assert_int_equal(
	    sources_penalise(sources, source, OUTCOME_AUTH_FAILED, 1000, &seconds), PENALTY_NEW);
	assert_int_equal(seconds, 5);
	assert_int_equal(sources_judge(sources, source, 1000), SOURCE_GOOD);
	assert_int_equal(
	    sources_penalise(sources, source, OUTCOME_AUTH_FAILED, 1000, &seconds), PENALTY_ADDED);
	assert_int_equal(sources_penalise(sources, source, OUTCOME_AUTH_FAILED, 1000, &seconds),
	    PENALTY_ACTIVATED);
	assert_int_equal(seconds, 15);
	assert_int_equal(sources_judge(sources, source, 15999), SOURCE_PENALISED);
	assert_int_equal(sources_judge(sources, source, 16000), SOURCE_GOOD);
	for (int i = 0; i < 20; i++)
		sources_penalise(sources, source, OUTCOME_CRASHED, 20000, &seconds);
	assert_int_equal(seconds, 600);
	assert_int_equal(sources_judge(sources, source, 619999), SOURCE_PENALISED);
	/* Somebody else's business is what forgets it. */
	struct source *other = find(sources, "198.51.100.1");
	assert_int_equal(sources_judge(sources, other, 620000), SOURCE_GOOD);
	assert_int_equal(find(sources, "192.0.2.1")->penalty_end, 0);
	assert_int_equal(
	    sources_penalise(sources, other, OUTCOME_AUTHENTICATED, 0, &seconds), PENALTY_NONE);
	sources_free(sources);
}

static unsigned
count_penalised(struct sources *sources, unsigned first)
{
	unsigned count = 0;
	char text[64];

	for (unsigned i = 0; i < ROOM; i++) {
		snprintf(text, sizeof text, "10.%u.%u.1", first, i);
		struct source *source = find(sources, text);
		count += source->penalty_end != 0;
		sources_drop(sources, source);
	}
	return count;
}

static void
penalise_many(struct sources *sources, unsigned first, enum worker_outcome outcome)
{
	unsigned seconds = 0;
	char text[64];

	for (unsigned i = 0; i < ROOM; i++) {
		snprintf(text, sizeof text, "10.%u.%u.1", first, i);
		sources_penalise(sources, find(sources, text), outcome, 0, &seconds);
	}
}

/* Of more sources than there is room for those go whose penalties end first. */
static void
test_overflow(void **state)
{
	struct nacre_sshd_config config = config_of(ROOM);
	struct sources *sources;

	(void)state;
	assert_int_equal(sources_new(&config, &sources), 0);
	penalise_many(sources, 1, OUTCOME_CRASHED);
	assert_int_equal(count_penalised(sources, 1), ROOM);
	penalise_many(sources, 2, OUTCOME_AUTH_FAILED);
	assert_int_equal(count_penalised(sources, 1), ROOM - 1);
	assert_int_equal(count_penalised(sources, 2), 1);
	/* Once all have ended, there is room for as many again. */
	assert_int_equal(sources_judge(sources, find(sources, "10.9.9.9"), 90000), SOURCE_GOOD);
	assert_int_equal(count_penalised(sources, 1), 0);
	sources_free(sources);
}

static void
test_overflow_denies(void **state)
{
	struct nacre_sshd_config config = config_of(2);
	struct sources *sources;
	unsigned seconds = 0;

	(void)state;
	config.per_source_penalties.overflow_deny_all = true;
	assert_int_equal(sources_new(&config, &sources), 0);
	sources_penalise(sources, find(sources, "10.0.1.1"), OUTCOME_NO_ATTEMPT, 0, &seconds);
	assert_int_equal(sources_judge(sources, find(sources, "10.0.9.1"), 0), SOURCE_GOOD);
	sources_penalise(sources, find(sources, "10.0.2.1"), OUTCOME_CRASHED, 0, &seconds);
	assert_int_equal(sources_judge(sources, find(sources, "10.0.9.1"), 0), SOURCE_TABLE_FULL);
	assert_int_equal(sources_judge(sources, find(sources, "2001:db8::1"), 0), SOURCE_GOOD);
	assert_int_equal(sources_judge(sources, find(sources, "10.0.9.1"), 1000), SOURCE_GOOD);
	sources_free(sources);
}

/* The crowd ---------------------------------------------------------------------------------- */

static size_t
share_of(const struct stranger *stranger)
{
	return stranger->shares[stranger->class].count;
}

/* What is answered at once is what a look at everybody gives. */
static void
check_crowd(const struct crowd *crowd, const struct stranger *strangers, enum stranger_class class)
{
	const struct stranger *spared = crowd_spared(crowd, class);
	const struct stranger *preferred = crowd_preferred(crowd, class);
	size_t count = 0;

	for (size_t i = 0; i < STRANGERS; i++) {
		const struct stranger *stranger = &strangers[i];
		if (stranger->shares == NULL || stranger->class != class)
			continue;
		count++;
		assert_true(share_of(spared) >= share_of(stranger));
		assert_true(share_of(preferred) <= share_of(stranger));
		if (stranger->shares == spared->shares)
			assert_true(spared->since <= stranger->since);
		if (stranger->shares == preferred->shares)
			assert_true(preferred->since >= stranger->since);
	}
	assert_int_equal(crowd->counts[class], count);
	assert_true((spared == NULL) == (count == 0) && (preferred == NULL) == (count == 0));
}

/* Another life of the server, with what the former one has left. */
static void
take_over(const struct nacre_sshd_config *config, struct nacre_buffer *kept, uint64_t now,
    struct sources **sources)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(kept));

	assert_int_equal(sources_new(config, sources), 0);
	sources_take_over(*sources, &reader, now);
	assert_true(nacre_reader_done(&reader));
}

static enum source_state
judge(struct sources *sources, const char *address, uint64_t now)
{
	return sources_judge(sources, find(sources, address), now);
}

static void
test_penalties_outlive_a_reload(void **state)
{
	struct nacre_sshd_config config = config_of(100);
	struct nacre_buffer kept = {0}, again = {0};
	struct sources *sources;
	unsigned seconds;

	(void)state;
	assert_int_equal(sources_new(&config, &sources), 0);
	sources_penalise(sources, find(sources, "192.0.2.1"), OUTCOME_CRASHED, 1000, &seconds);
	sources_penalise(sources, find(sources, "192.0.3.1"), OUTCOME_NO_ATTEMPT, 1000, &seconds);
	sources_penalise(sources, find(sources, "2001:db8::1"), OUTCOME_CRASHED, 1000, &seconds);
	sources_keep(sources, &kept);
	sources_free(sources);

	take_over(&config, &kept, 1500, &sources);
	assert_int_equal(judge(sources, "192.0.2.9", 2000), SOURCE_PENALISED);
	assert_int_equal(find(sources, "192.0.2.9")->penalty_for, OUTCOME_CRASHED);
	assert_int_equal(judge(sources, "192.0.3.9", 1600), SOURCE_GOOD); /* below the minimum */
	assert_int_equal(judge(sources, "2001:db8::2", 90999), SOURCE_PENALISED);
	assert_int_equal(judge(sources, "2001:db8::2", 91000), SOURCE_GOOD);
	sources_keep(sources, &again);
	sources_free(sources);

	/* A shorter maximum; networks that are one now; others that are smaller now. */
	config.per_source_penalties.max = 20;
	config.per_source_net_block_size4 = 16;
	config.per_source_net_block_size6 = 128;
	take_over(&config, &kept, 1500, &sources);
	assert_int_equal(judge(sources, "192.0.77.1", 21499), SOURCE_PENALISED);
	assert_int_equal(judge(sources, "192.0.77.1", 21500), SOURCE_GOOD);
	assert_int_equal(judge(sources, "2001:db8::1", 2000), SOURCE_GOOD);
	sources_free(sources);

	config.per_source_penalties.enabled = false;
	take_over(&config, &kept, 1500, &sources);
	assert_int_equal(judge(sources, "192.0.2.9", 2000), SOURCE_GOOD);
	sources_free(sources);

	nacre_buffer_free(&kept);
	nacre_buffer_free(&again);
}

/* Less room than before: the penalties that end last stay, or nobody else gets in. */
static void
test_less_room_after_a_reload(void **state)
{
	struct nacre_sshd_config config = config_of(100);
	struct nacre_buffer kept = {0};
	struct sources *sources;
	unsigned seconds;
	char text[32];

	(void)state;
	assert_int_equal(sources_new(&config, &sources), 0);
	for (unsigned i = 1; i <= 50; i++) {
		snprintf(text, sizeof text, "192.0.%u.1", i);
		sources_penalise(sources, find(sources, text), OUTCOME_CRASHED, i, &seconds);
	}
	sources_keep(sources, &kept);
	sources_free(sources);
	config.per_source_penalties.max_sources4 = 10;
	take_over(&config, &kept, 100, &sources);
	for (unsigned i = 1; i <= 50; i++) {
		snprintf(text, sizeof text, "192.0.%u.1", i);
		assert_int_equal(
		    judge(sources, text, 100), i > 40 ? SOURCE_PENALISED : SOURCE_GOOD);
	}
	sources_free(sources);
	config.per_source_penalties.overflow_deny_all = true;
	take_over(&config, &kept, 100, &sources);
	assert_int_equal(judge(sources, "10.0.0.1", 100), SOURCE_TABLE_FULL);
	sources_free(sources);
	nacre_buffer_free(&kept);
}

static void
test_crowd(void **state)
{
	static struct stranger strangers[STRANGERS];
	static struct share shares[10][STRANGER_CLASSES];
	struct crowd crowd;

	(void)state;
	assert_int_equal(crowd_init(&crowd, STRANGERS), 0);
	for (size_t i = 0; i < 10; i++)
		crowd_init_shares(shares[i]);
	for (size_t i = 0; i < STRANGERS; i++)
		link_init(&strangers[i].share);
	for (unsigned step = 0; step < 3000; step++) {
		struct stranger *stranger = &strangers[step * 7919U % STRANGERS];
		enum stranger_class class = (enum stranger_class)(step * 31U % STRANGER_CLASSES);
		bool there = stranger->shares != NULL;
		if (there)
			crowd_remove(&crowd, stranger);
		stranger->shares = there && step % 3 == 0 ? NULL : shares[step * step % 10];
		stranger->since = step;
		if (stranger->shares != NULL)
			crowd_add(&crowd, stranger, class);
		for (int each = 0; each < STRANGER_CLASSES; each++)
			check_crowd(&crowd, strangers, (enum stranger_class)each);
	}
	crowd_free(&crowd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_networks),
	    cmocka_unit_test(test_penalties_add_up_and_end),
	    cmocka_unit_test(test_overflow),
	    cmocka_unit_test(test_overflow_denies),
	    cmocka_unit_test(test_penalties_outlive_a_reload),
	    cmocka_unit_test(test_less_room_after_a_reload),
	    cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
