/* sftp: the lines that a person types, with editing, history and completion (libedit). */
#include <scp/sftp.h>

#include <errno.h>
#include <glob.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#define HISTORY_LINES 1000
#define PROMPT        "sftp> "

static char *
prompt(EditLine *editor)
{
	static char text[] = PROMPT;

	(void)editor;
	return text;
}

/* Completion ------------------------------------------------------------------------------------ */

/* What the line's first word says of the others. */
static void
kinds_of_line(const char *line, bool *remote, bool *local)
{
	const size_t length = strcspn(line, " \t");
	const char *name;

	*remote = *local = false;
	for (size_t i = 0; (name = command_name(i, remote, local)) != NULL; i++)
		if (strlen(name) == length && strncasecmp(name, line, length) == 0)
			return;
	*remote = *local = false;
}

static void
complete_commands(const char *word, struct found_list *list)
{
	const char *name;
	bool remote, local;

	for (size_t i = 0; (name = command_name(i, &remote, &local)) != NULL; i++)
		if (strncasecmp(name, word, strlen(word)) == 0)
			found_add(list, strdup(name), &(struct nacre_sftp_attributes){0}, NULL);
}

/* The word with a wildcard behind it, as a pattern. */
static char *
pattern_of(const char *word)
{
	char *const plain = glob_unquote(word);
	char *const quoted = glob_quote(plain);
	char *pattern;

	if (asprintf(&pattern, "%s*", quoted) < 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	free(plain);
	free(quoted);
	return pattern;
}

static void
complete_remote(struct sftp *sftp, const char *word, struct found_list *list)
{
	char *const pattern = pattern_of(word);
	char *const whole = remote_pattern(&sftp->remote, pattern);
	char *const base = remote_absolute(&sftp->remote, "");
	const size_t skipped = word[0] == '/' ? 0 : strlen(base);
	struct found_list found = {0};

	remote_glob(&sftp->remote, whole, true, &found);
	for (size_t i = 0; i < found.count; i++)
		if (strlen(found.items[i].path) > skipped)
			found_add(list, strdup(found.items[i].path + skipped),
			    &found.items[i].attributes, NULL);
	found_free(&found);
	free(pattern);
	free(whole);
	free(base);
}

static void
complete_local(const char *word, struct found_list *list)
{
	char *const pattern = pattern_of(word);
	glob_t matches = {0};

	if (glob(pattern, 0, NULL, &matches) == 0)
		for (size_t i = 0; i < matches.gl_pathc; i++) {
			struct nacre_sftp_attributes attributes = {0};
			struct stat status;

			if (stat(matches.gl_pathv[i], &status) == 0)
				nacre_sftp_attributes_of_stat(&status, &attributes);
			found_add(list, strdup(matches.gl_pathv[i]), &attributes, NULL);
		}
	globfree(&matches);
	free(pattern);
}

/* How much all of them begin with. */
static size_t
common_length(const struct found_list *list)
{
	size_t length = strlen(list->items[0].path);

	for (size_t i = 1; i < list->count; i++)
		for (size_t at = 0; at < length; at++)
			if (list->items[i].path[at] != list->items[0].path[at])
				length = at;
	/* Not within a character of UTF-8. */
	while (list->count > 1 && length > 0 &&
	       ((unsigned char)list->items[0].path[length] & 0xc0) == 0x80)
		length--;
	return length;
}

/* Types what is missing of "word", quoted as the word is; at once, as characters may be of several
 * bytes. */
static void
insert_rest(EditLine *editor, const char *path, size_t from, size_t to, char quote)
{
	char *const text = malloc(2 * (to - from) + 1);
	size_t used = 0;

	if (text == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = from; i < to; i++) {
		if ((quote == 0 && strchr(" \t\\\"'*?[#", path[i]) != NULL) ||
		    (quote != 0 && (path[i] == quote || path[i] == '\\')))
			text[used++] = '\\';
		text[used++] = path[i];
	}
	text[used] = '\0';
	el_insertstr(editor, text);
	free(text);
}

static void
show_choices(const struct found_list *list)
{
	struct nacre_buffer row = {0};

	for (size_t i = 0; i < list->count; i++)
		nacre_put_format(&row, "%s%s", i > 0 ? "  " : "", list->items[i].path);
	nacre_put_byte(&row, 0);
	if (row.failed)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	say("\n");
	say("%s\n", (const char *)nacre_buffer_span(&row).data);
	nacre_buffer_free(&row);
}

static void
insert_completion(
    EditLine *editor, const struct found_list *list, const char *word, char quote, bool command)
{
	const struct found *const first = &list->items[0];
	const size_t typed = strlen(word), common = common_length(list);

	if (common > typed)
		insert_rest(editor, first->path, typed, common, quote);
	else if (list->count > 1)
		show_choices(list);
	if (list->count > 1)
		return;
	if (!command && S_ISDIR(first->attributes.permissions)) {
		if (first->path[common - 1] != '/')
			el_insertstr(editor, "/");
		return;
	}
	const char end[] = {quote != 0 ? quote : ' ', quote != 0 ? ' ' : '\0', '\0'};
	el_insertstr(editor, end);
}

static unsigned char
complete(EditLine *editor, int character)
{
	const LineInfo *const info = el_line(editor);
	const size_t length = (size_t)(info->cursor - info->buffer);
	struct found_list list = {0};
	bool remote, local;
	void *context;
	size_t start;
	char quote;

	(void)character;
	el_get(editor, EL_CLIENTDATA, &context);
	char *const line = strndup(info->buffer, length);
	if (line == NULL)
		return CC_ERROR;
	line_last_word(line, length, &start, &quote);
	char *const word = glob_unquote(line + start + (quote != 0));
	kinds_of_line(line, &remote, &local);
	if (start == 0)
		complete_commands(word, &list);
	else if (remote)
		complete_remote(context, word, &list);
	else if (local)
		complete_local(word, &list);
	if (list.count > 0)
		insert_completion(editor, &list, word, quote, start == 0);
	const bool shown = list.count > 1;
	const bool any = list.count > 0;
	found_free(&list);
	free(word);
	free(line);
	return shown ? CC_REDISPLAY : any ? CC_REFRESH : CC_ERROR;
}

/* Interruptions --------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted, typing;

/* Once stops a transfer, or the line that is being typed; twice is meant while a command runs. */
static void
interrupt(int number)
{
	static const char said[] = "\rInterrupt  \n";

	if (typing) {
		interrupted = 1;
		return;
	}
	if (interrupted++ == 0) {
		if (write(STDERR_FILENO, said, sizeof said - 1) < 0)
			return; /* nobody sees it */
		return;
	}
	signal(number, SIG_DFL);
	raise(number);
}

/* Waits for a character: an interruption ends it whenever it comes, as it is let through nowhere else
 * while a line is typed. */
static int
read_key(EditLine *editor, wchar_t *key)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	mbstate_t state = {0};
	sigset_t usual;
	char byte;

	(void)editor;
	sigprocmask(SIG_BLOCK, NULL, &usual);
	sigdelset(&usual, SIGINT);
	for (;;) {
		const int ready = ppoll(&input, 1, NULL, &usual);
		if (ready < 0 && (errno != EINTR || interrupted))
			return -1;
		if (ready <= 0)
			continue;
		const ssize_t got = read(STDIN_FILENO, &byte, 1);
		if (got <= 0)
			return (int)got;
		const size_t taken = mbrtowc(key, &byte, 1, &state);
		if (taken <= 1)
			return 1;
		if (taken == (size_t)-1)
			state = (mbstate_t){0};
	}
}

/* The loop ---------------------------------------------------------------------------------------- */

static EditLine *
make_editor(struct sftp *sftp, History *lines)
{
	HistEvent event;
	EditLine *const editor = el_init("sftp", stdin, stdout, stderr);

	if (editor == NULL || lines == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	history(lines, &event, H_SETSIZE, HISTORY_LINES);
	el_set(editor, EL_HIST, history, lines);
	el_set(editor, EL_PROMPT, prompt);
	el_set(editor, EL_EDITOR, "emacs");
	el_set(editor, EL_TERMINAL, NULL);
	el_set(editor, EL_CLIENTDATA, sftp);
	el_set(editor, EL_GETCFN, read_key);
	el_set(editor, EL_ADDFN, "ftp-complete", "Complete a name", complete);
	el_set(editor, EL_BIND, "^I", "ftp-complete", NULL);
	el_source(editor, NULL);
	return editor;
}

/* The next line, without its end; NULL at the end of all, or after an interruption. */
static char *
next_line(EditLine *editor)
{
	sigset_t interruption, usual;
	int length = 0;

	sigemptyset(&interruption);
	sigaddset(&interruption, SIGINT);
	sigprocmask(SIG_BLOCK, &interruption, &usual);
	interrupted = 0;
	typing = 1;
	const char *const line = el_gets(editor, &length);
	typing = 0;
	sigprocmask(SIG_SETMASK, &usual, NULL);
	return line != NULL && length >= 0 ? strndup(line, strcspn(line, "\n")) : NULL;
}

int
edit_run(struct sftp *sftp)
{
	const struct sigaction action = {.sa_handler = interrupt};
	History *const lines = history_init();
	EditLine *const editor = make_editor(sftp, lines);
	int status = 0;

	sftp->remote.interrupted = &interrupted;
	sigaction(SIGINT, &action, NULL);
	while (!sftp->finished && status >= 0) {
		HistEvent event;

		char *const line = next_line(editor);
		if (line == NULL) {
			putchar('\n');
			if (interrupted != 0)
				continue;
			break;
		}
		if (*line != '\0')
			history(lines, &event, H_ENTER, line);
		interrupted = 0;
		status = command_run(sftp, line);
		free(line);
	}
	el_end(editor);
	history_end(lines);
	return status < 0 ? 255 : 0;
}
