/* ssh-keygen: questions to the user. */
#include "keygen.h"

#include <nacre/log.h>
#include <nacre/prompt.h>

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct passwd *
user(void)
{
	struct passwd *entry = getpwuid(getuid());

	if (entry == NULL)
		nacre_fatal("No user exists for uid %lu", (unsigned long)getuid());
	return entry;
}

char *
keygen_home_file(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/.ssh/%s", user()->pw_dir, name) < 0)
		nacre_fatal("out of memory");
	return path;
}

/* A line of standard input without its end; ends the program when there is none. */
static char *
read_line(void)
{
	char *line = NULL;
	size_t capacity = 0;

	fflush(stdout);
	if (getline(&line, &capacity, stdin) < 0)
		exit(EXIT_FAILURE);
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

char *
keygen_ask_file(const struct keygen *keygen, const char *question, const char *type)
{
	char name[32], *path, *answer;

	if (keygen->file != NULL) {
		if ((path = strdup(keygen->file)) == NULL)
			nacre_fatal("out of memory");
		return path;
	}
	snprintf(name, sizeof name, "id_%s", type);
	for (char *dash = name; (dash = strchr(dash, '-')) != NULL;)
		*dash = '_';
	path = keygen_home_file(name);
	printf("%s (%s): ", question, path);
	answer = read_line();
	if (*answer == '\0') {
		free(answer);
		return path;
	}
	free(path);
	return answer;
}

bool
keygen_may_overwrite(const char *path)
{
	struct stat status;
	char *answer;
	bool agreed;

	if (stat(path, &status) != 0)
		return true;
	printf("%s already exists.\nOverwrite (y/n)? ", path);
	answer = read_line();
	agreed = *answer == 'y' || *answer == 'Y';
	free(answer);
	return agreed;
}

void
keygen_ask_passphrase(const char *prompt, struct nacre_buffer *passphrase)
{
	/* Who gives no answer has given the empty one. */
	fflush(stdout);
	if (nacre_prompt(prompt, NACRE_PROMPT_STDIN, passphrase) != 0)
		nacre_buffer_clear(passphrase);
}

void
keygen_new_passphrase(
    const struct keygen *keygen, const char *prompt, struct nacre_buffer *passphrase)
{
	struct nacre_buffer again = {0};
	bool same;

	if (keygen->new_passphrase != NULL) {
		nacre_put_span(passphrase, nacre_span_of(keygen->new_passphrase));
		return;
	}
	for (;;) {
		keygen_ask_passphrase(prompt, passphrase);
		keygen_ask_passphrase("Enter same passphrase again: ", &again);
		same = nacre_span_equal(nacre_buffer_span(passphrase), nacre_buffer_span(&again));
		nacre_buffer_free(&again);
		if (same)
			return;
		nacre_buffer_clear(passphrase);
		puts("Passphrases do not match.  Try again.");
	}
}

void
keygen_user_at_host(struct nacre_buffer *text)
{
	char host[256] = "";

	if (gethostname(host, sizeof host - 1) != 0)
		snprintf(host, sizeof host, "localhost");
	nacre_put_format(text, "%s@%s", user()->pw_name, host);
	nacre_put_byte(text, '\0');
}
