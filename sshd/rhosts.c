/*
 * Hosts whose users log in by their host's word (hosts.equiv(5)): hosts.equiv, shosts.equiv, and the
 * users' own .shosts and .rhosts.
 */
#include "authorize.h"

#include <nacre/log.h>

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LINE_MOST 1024

enum verdict { PASSED_OVER, ALLOWED, REFUSED };

struct rhosts_query {
	const char *host, *address, *client_user, *user;
};

/* Not every C library knows netgroups; one that may mean a refusal is taken for it. */
static bool
in_netgroup(const char *group, const char *host, const char *user)
{
#ifdef __GLIBC__
	return innetgr(group, host, user, NULL) != 0;
#else
	(void)group, (void)host, (void)user;
	nacre_log(NACRE_LOG_ERROR, "netgroups are not known on this system");
	return false;
#endif
}

static bool
host_fits(const struct rhosts_query *query, const char *word)
{
	if (word[0] == '@')
		return in_netgroup(word + 1, query->host, NULL) ||
		       in_netgroup(word + 1, query->address, NULL);
	return strcasecmp(word, query->host) == 0 || strcmp(word, query->address) == 0;
}

static bool
user_fits(const struct rhosts_query *query, const char *word)
{
	return word[0] == '@' ? in_netgroup(word + 1, NULL, query->client_user)
			      : strcmp(word, query->client_user) == 0;
}

/* A sign in front of a word; "+" alone, which would mean everybody, is no word. */
static const char *
without_sign(const char *word, bool *negated)
{
	*negated = word[0] == '-';
	return word[0] == '-' || word[0] == '+' ? word + 1 : word;
}

/* "[+-]host [[+-]user]" */
static enum verdict
judge_line(const struct rhosts_query *query, char *line, const char *path)
{
	char *rest = NULL;
	const char *host = strtok_r(line, " \t\r", &rest);
	const char *user = host != NULL ? strtok_r(NULL, " \t\r", &rest) : NULL;
	bool host_negated, user_negated;

	if (host == NULL || host[0] == '#' || strcmp(host, "NO_PLUS") == 0)
		return PASSED_OVER;
	host = without_sign(host, &host_negated);
	user = without_sign(user != NULL ? user : query->user, &user_negated);
	if (host[0] == '\0' || user[0] == '\0') {
		nacre_log(NACRE_LOG_INFO, "Ignoring wild host/user names in %.100s.", path);
		return PASSED_OVER;
	}
	if (!host_fits(query, host) || !user_fits(query, user))
		return PASSED_OVER;
	if (!host_negated && !user_negated)
		return ALLOWED;
	nacre_log(NACRE_LOG_INFO, "Matched negative entry in %.100s.", path);
	return REFUSED;
}

static enum verdict
judge_text(const struct rhosts_query *query, struct nacre_span text, const char *path)
{
	enum verdict verdict = PASSED_OVER;
	struct nacre_span line;

	while (verdict == PASSED_OVER && nacre_line_next(&text, &line)) {
		char *copy = line.length < LINE_MOST ? nacre_span_to_string(line) : NULL;

		/* Passing a line over could pass over a refusal. */
		verdict = copy != NULL ? judge_line(query, copy, path) : REFUSED;
		free(copy);
	}
	return verdict;
}

static enum verdict
judge_system_file(const struct rhosts_query *query, const char *path)
{
	struct nacre_buffer text = {0};
	enum verdict verdict = PASSED_OVER;

	if (nacre_read_trusted_file(path, NULL, 0, false, 0, &text, NULL) == 0)
		verdict = judge_text(query, nacre_buffer_span(&text), path);
	nacre_buffer_free(&text);
	return verdict;
}

static enum verdict
judge_user_file(const struct login *login, const struct rhosts_query *query, const char *name)
{
	struct nacre_buffer path = {0}, text = {0};
	enum verdict verdict = PASSED_OVER;

	if (user_file_path(login, name, &path) == 0 &&
	    user_file_read(login, (const char *)path.data, "rhosts", &text) == 0)
		verdict = judge_text(query, nacre_buffer_span(&text), (const char *)path.data);
	nacre_buffer_free(&path);
	nacre_buffer_free(&text);
	return verdict;
}

bool
rhosts_allow(
    const struct login *login, const char *host, const char *address, const char *client_user)
{
	const struct rhosts_query query = {.host = host,
	    .address = address,
	    .client_user = client_user,
	    .user = login->account.name};
	int ignored = login->config->ignore_rhosts;
	enum verdict verdict = PASSED_OVER;

	/* Nobody becomes root by the system's word for whole hosts. */
	if (login->account.uid != 0)
		verdict = judge_system_file(&query, "/etc/hosts.equiv");
	if (login->account.uid != 0 && verdict == PASSED_OVER)
		verdict = judge_system_file(&query, NACRE_SYSCONFDIR "/shosts.equiv");
	if (verdict == PASSED_OVER && ignored != NACRE_RHOSTS_YES)
		verdict = judge_user_file(login, &query, ".shosts");
	if (verdict == PASSED_OVER && ignored == NACRE_RHOSTS_NO)
		verdict = judge_user_file(login, &query, ".rhosts");
	return verdict == ALLOWED;
}
