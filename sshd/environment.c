/* The environment of a user's programs. */
#include "user_session.h"

#include <nacre/log.h>
#include <nacre/pattern.h>
#include <nacre/process.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_USER  "/usr/local/bin:/usr/bin:/bin:/usr/games"
#define PATH_ROOT  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define FILE_BYTES ((size_t)64 * 1024)

static size_t
find_entry(const struct environment *environment, const char *name, size_t length)
{
	size_t i = 0;

	while (i < environment->count && (strncmp(environment->entries[i], name, length) != 0 ||
					     environment->entries[i][length] != '='))
		i++;
	return i;
}

bool
environment_has(const struct environment *environment, const char *name)
{
	return find_entry(environment, name, strlen(name)) < environment->count;
}

void
environment_put(struct environment *environment, const char *name, const char *value)
{
	size_t at = find_entry(environment, name, strlen(name));
	char *entry;

	if (asprintf(&entry, "%s=%s", name, value) < 0)
		nacre_fatal("out of memory");
	if (at < environment->count) {
		free(environment->entries[at]);
		environment->entries[at] = entry;
		return;
	}
	char **entries =
	    reallocarray(environment->entries, environment->count + 2, sizeof *entries);
	if (entries == NULL)
		nacre_fatal("out of memory");
	environment->entries = entries;
	entries[environment->count++] = entry;
	entries[environment->count] = NULL;
}

void
environment_free(struct environment *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		free(environment->entries[i]);
	free(environment->entries);
	*environment = (struct environment){0};
}

/* "NAME=VALUE" as one text. */
static void
put_entry(struct environment *environment, const char *entry)
{
	const char *equals = strchr(entry, '=');
	char *name = equals != NULL ? strndup(entry, (size_t)(equals - entry)) : NULL;

	if (name != NULL && name[0] != '\0')
		environment_put(environment, name, equals + 1);
	free(name);
}

static bool
user_may_set(const struct nacre_sshd_config *config, const char *entry)
{
	const char *list = config->permit_user_environment_list;
	struct nacre_span name = {(const uint8_t *)entry, strcspn(entry, "=")};

	return list == NULL ||
	       nacre_pattern_list(name, nacre_span_of(list), false) == NACRE_MATCH_FOUND;
}

/* ~/.ssh/environment: NAME=VALUE lines, comments with #. */
static void
put_user_line(struct channel *channel, const char *path, unsigned number, const char *line,
    struct environment *environment)
{
	struct nacre_buffer complaint = {0};

	line += strspn(line, " \t");
	if (line[0] == '#' || line[0] == '\0')
		return;
	if (strchr(line, '=') != NULL && user_may_set(channel->user->config, line))
		put_entry(environment, line);
	if (strchr(line, '=') != NULL)
		return;
	nacre_put_format(&complaint, "Bad line %u in %.100s\n", number, path);
	greeting_say(channel, nacre_buffer_span(&complaint), NACRE_STREAM_STDERR);
	nacre_buffer_free(&complaint);
}

static void
put_user_file(struct channel *channel, struct environment *environment)
{
	const struct login *login = channel->user->login;
	struct nacre_buffer text = {0};
	char path[4096];
	char *line, *rest;

	snprintf(path, sizeof path, "%s/.ssh/environment", login->account.home);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return;
	int error = nacre_process_read_file(fd, FILE_BYTES, &text);
	close(fd);
	nacre_put_byte(&text, 0);
	rest = error == 0 && !text.failed ? (char *)text.data + text.start : NULL;
	for (unsigned number = 1; rest != NULL && (line = strsep(&rest, "\n")) != NULL; number++)
		put_user_line(channel, path, number, line, environment);
	nacre_buffer_free(&text);
}

static void
put_account(const struct login *login, struct environment *environment)
{
	const struct nacre_account *account = &login->account;
	char mail[300];

	environment_put(environment, "USER", account->name);
	environment_put(environment, "LOGNAME", account->name);
	environment_put(environment, "HOME", account->home);
	environment_put(environment, "PATH", account->uid == 0 ? PATH_ROOT : PATH_USER);
	snprintf(mail, sizeof mail, "/var/mail/%.200s", account->name);
	if (!login->config->use_pam) /* whose modules may set it */
		environment_put(environment, "MAIL", mail);
	environment_put(environment, "SHELL", account->shell);
	if (getenv("TZ") != NULL)
		environment_put(environment, "TZ", getenv("TZ"));
}

static void
put_connection(const struct channel *channel, struct environment *environment)
{
	const struct peer *peer = &channel->user->login->peer;
	char text[300];

	snprintf(text, sizeof text, "%s %d %d", peer->address, peer->port, peer->local_port);
	environment_put(environment, "SSH_CLIENT", text);
	snprintf(text, sizeof text, "%s %d %s %d", peer->address, peer->port, peer->local_address,
	    peer->local_port);
	environment_put(environment, "SSH_CONNECTION", text);
	if (channel->has_terminal)
		environment_put(environment, "SSH_TTY", channel->terminal_name);
	if (channel->user->auth_info_path[0] != '\0')
		environment_put(environment, "SSH_USER_AUTH", channel->user->auth_info_path);
	if (x11_display(channel) != NULL)
		environment_put(environment, "DISPLAY", x11_display(channel));
	if (channel->user->agent_path[0] != '\0')
		environment_put(environment, "SSH_AUTH_SOCK", channel->user->agent_path);
}

/* Names that only sshd itself may set. */
static void
put_modules(const struct login *login, struct environment *environment)
{
	char **entries = login->pam_environment;

	for (size_t i = 0; entries != NULL && entries[i] != NULL; i++)
		if (strncmp(entries[i], "SSH_AUTH_INFO", 13) != 0 &&
		    strncmp(entries[i], "SSH_CONNECTION=", 15) != 0)
			put_entry(environment, entries[i]);
}

void
environment_make(
    struct channel *channel, const char *original_command, struct environment *environment)
{
	const struct user_session *user = channel->user;
	const struct authentication *authentication = &user->login->authentication;

	/* What the client sent comes first, so that it replaces nothing of what follows. */
	for (size_t i = 0; i < channel->environment.count; i++)
		put_entry(environment, channel->environment.entries[i]);
	put_account(user->login, environment);
	if (channel->term != NULL)
		environment_put(environment, "TERM", channel->term);
	if (user->config->permit_user_environment) {
		for (size_t i = 0; i < authentication->options.environment_count; i++)
			if (user_may_set(user->config, authentication->options.environment[i]))
				put_entry(environment, authentication->options.environment[i]);
		put_user_file(channel, environment);
	}
	put_modules(user->login, environment);
	for (size_t i = 0; i < user->config->set_env.count; i++)
		put_entry(environment, user->config->set_env.words[i]);
	put_connection(channel, environment);
	if (original_command != NULL)
		environment_put(environment, "SSH_ORIGINAL_COMMAND", original_command);
}
