/*
 * sftp: the lines of a batch. They are carried out, and tell what they did, in order. But lines that
 * leave each other alone overlap, so that their round trips are waited for together:
 * - lines that change something do when all of them are marked with "-", so that it does not matter to
 *   any whether another one fails (with -X overlap=all they need no mark),
 * - lines that only look do among themselves and with marked ones.
 * Whatever meets on a path waits for the line before it.
 */
#include <scp/sftp_plan.h>
#include <scp/sftp_task.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AHEAD_MOST   128 /* lines */
#define AHEAD_UNTOLD 32  /* when the server did not tell how many files may be open */
#define READ_STEP    ((size_t)4096)

struct line {
	struct line *next;
	struct sftp *sftp;
	char *text;
	const char *command; /* behind the prefixes */
	bool silent, ignored;
	struct plan plan;
	struct task *task; /* NULL: not begun */
};

struct batch {
	struct sftp *sftp;
	int fd;
	bool strict; /* the first failure is the end */
	struct nacre_buffer input;
	bool input_ended;
	struct line *first, **last, *newest; /* read and not told of yet */
	size_t count;
	struct nacre_buffer last_words;
};

/* Reading ------------------------------------------------------------------------------------------ */

static bool
has_input(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	return poll(&entry, 1, 0) > 0;
}

static void
read_more(struct batch *batch)
{
	uint8_t *const room = nacre_buffer_room(&batch->input, READ_STEP);
	ssize_t count;

	if (room == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	do
		count = read(batch->fd, room, READ_STEP);
	while (count < 0 && errno == EINTR);
	if (count > 0)
		nacre_buffer_added(&batch->input, (size_t)count);
	else
		batch->input_ended = true;
}

/* The next line, the caller's; NULL at the end, or when none is there and "wait" is not wanted. */
static char *
next_line(struct batch *batch, bool wait)
{
	for (;;) {
		const struct nacre_span text = nacre_buffer_span(&batch->input);
		const uint8_t *const end =
		    text.length > 0 ? memchr(text.data, '\n', text.length) : NULL;
		const size_t length = end != NULL ? (size_t)(end - text.data) : text.length;

		if (end != NULL || (batch->input_ended && length > 0)) {
			char *const line = strndup((const char *)text.data, length);

			if (line == NULL)
				die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
			nacre_buffer_consume(&batch->input, length + (end != NULL));
			return line;
		}
		if (batch->input_ended || (!wait && !has_input(batch->fd)))
			return NULL;
		read_more(batch);
	}
}

/* "@" in front of a line: it is not shown; "-": its failure does not end the batch. */
static void
take_prefixes(struct line *line)
{
	line->command = line->text + strspn(line->text, " \t");
	for (;; line->command++)
		if (*line->command == '@')
			line->silent = true;
		else if (*line->command == '-')
			line->ignored = true;
		else
			return;
}

static bool
add_line(struct batch *batch, bool wait)
{
	char *const text = next_line(batch, wait);

	if (text == NULL)
		return false;
	struct line *const line = calloc(1, sizeof *line);
	if (line == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	line->sftp = batch->sftp;
	line->text = text;
	take_prefixes(line);
	*batch->last = batch->newest = line;
	batch->last = &line->next;
	batch->count++;
	return true;
}

static void
drop_line(struct batch *batch)
{
	struct line *const line = batch->first;

	batch->first = line->next;
	if (batch->first == NULL)
		batch->last = &batch->first;
	batch->count--;
	plan_free(&line->plan);
	free(line->text);
	free(line);
}

/* Overlapping --------------------------------------------------------------------------------------- */

static bool
is_free(const struct batch *batch, const struct line *line)
{
	return line->ignored || batch->sftp->options->overlap == OVERLAP_ALL;
}

/* Whether a line may begin while an earlier one is not done. */
static bool
may_overlap(const struct batch *batch, const struct line *earlier, const struct line *later)
{
	if (earlier->plan.alone || later->plan.alone || plans_meet(&earlier->plan, &later->plan))
		return false;
	if (!later->plan.changes)
		return is_free(batch, earlier) || !earlier->plan.changes;
	return is_free(batch, earlier) && is_free(batch, later);
}

static int
run_line(void *argument)
{
	struct line *const line = argument;

	return command_run(line->sftp, line->command);
}

static bool
is_done(const struct line *line)
{
	return line->task != NULL && task_finished(line->task);
}

/* Begins a line if no earlier one keeps it from that. One that nothing overlaps with is left to be run
 * by itself, so that it tells at once what it does. */
static void
try_line(struct batch *batch, struct line *line)
{
	const bool head = line == batch->first;

	if (line->plan.alone ||
	    (head && (line->next == NULL || !may_overlap(batch, line, line->next))))
		return;
	for (const struct line *earlier = batch->first; earlier != line; earlier = earlier->next)
		if (!is_done(earlier) && !may_overlap(batch, earlier, line))
			return;
	line->task = task_start(run_line, line);
}

static size_t
most_ahead(const struct batch *batch)
{
	const uint64_t handles = nacre_sftp_limits(batch->sftp->remote.sftp)->handles;

	if (batch->sftp->options->overlap == OVERLAP_NONE)
		return 1;
	if (handles == 0)
		return AHEAD_UNTOLD;
	return handles / 2 < AHEAD_MOST ? (size_t)handles / 2 + 1 : AHEAD_MOST;
}

/* Reads ahead and begins what may begin. What a line touches is seen from the directories that are
 * current: nothing is read behind one that may change them. */
static void
begin_lines(struct batch *batch)
{
	const size_t most = most_ahead(batch);

	while (batch->count < most && (batch->count == 0 || !batch->newest->plan.alone) &&
	       add_line(batch, batch->count == 0))
		command_plan(batch->sftp, batch->newest->command, &batch->newest->plan);
	for (struct line *line = batch->first; line != NULL; line = line->next)
		if (line->task == NULL)
			try_line(batch, line);
}

/* Telling ------------------------------------------------------------------------------------------- */

static void
await_line(struct batch *batch, const struct line *line, bool begin)
{
	while (!task_finished(line->task)) {
		remote_turn(&batch->sftp->remote);
		if (begin && !batch->sftp->remote.lost)
			begin_lines(batch);
	}
}

static void
show_line(const struct line *line)
{
	if (!line->silent)
		say("sftp> %s\n", line->text);
	fflush(stdout);
}

/* Carries the first line to its end, or waits until it is there. */
static int
finish_first(struct batch *batch)
{
	struct line *const line = batch->first;
	int status;

	if (line->task == NULL) {
		show_line(line);
		status = run_line(line);
	} else {
		batch->sftp->remote.last_words = &batch->last_words;
		await_line(batch, line, true);
		batch->sftp->remote.last_words = NULL;
		show_line(line);
		status = task_end(line->task, false);
		fflush(stdout);
	}
	return batch->sftp->remote.lost ? -1 : status;
}

/* Behind the last line that counts: what began already comes to its end, and is told of if it may have
 * changed something. */
static void
finish_rest(struct batch *batch)
{
	for (; batch->first != NULL; drop_line(batch)) {
		struct line *const line = batch->first;

		if (line->task == NULL)
			continue;
		await_line(batch, line, false);
		if (line->plan.changes)
			show_line(line);
		task_end(line->task, !line->plan.changes);
		if (line->plan.changes)
			complain("\"%s\" was under way already", line->command);
	}
}

int
batch_run(struct sftp *sftp, int fd, bool strict)
{
	struct batch batch = {.sftp = sftp, .fd = fd, .strict = strict};
	int result = 0;

	batch.last = &batch.first;
	while (result == 0 && !sftp->finished) {
		begin_lines(&batch);
		if (batch.first == NULL)
			break;
		const int status = finish_first(&batch);
		if (status < 0)
			result = 255;
		else if (status > 0 && strict && !batch.first->ignored)
			result = 1;
		drop_line(&batch);
	}
	finish_rest(&batch);
	message_replay(&batch.last_words);
	nacre_buffer_free(&batch.last_words);
	nacre_buffer_free(&batch.input);
	return result;
}
