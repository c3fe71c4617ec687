/* sftp: requests to the server, one at a time or several, and the wait for their replies. */
#include <scp/sftp.h>
#include <scp/sftp_task.h>

#include <nacre/poller.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Each READDIR gives a hundred names or so. */
#define ENTRIES_MOST 1000000
#define READDIRS     2
/* Milliseconds after which an interruption is noticed that came just before a wait. */
#define POLL_INTERVAL 500

static void
out_of_memory(void)
{
	die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
}

struct nacre_sftp_tag
answer_tag(struct answer *answer)
{
	return (struct nacre_sftp_tag){.context = answer};
}

void
answer_free(struct answer *answer)
{
	nacre_buffer_free(&answer->content);
	*answer = (struct answer){0};
}

bool
answer_ok(const struct answer *answer, const char *format, ...)
{
	va_list arguments;
	char *doing;

	if (answer->message != NACRE_SFTP_STATUS || answer->status == NACRE_SFTP_OK)
		return true;
	va_start(arguments, format);
	if (vasprintf(&doing, format, arguments) < 0)
		out_of_memory();
	va_end(arguments);
	complain("%s: %s", doing,
	    answer->status == NACRE_SFTP_NO_SUCH_FILE ? "No such file or directory"
						      : nacre_sftp_status_string(answer->status));
	free(doing);
	return false;
}

/* The reply's spans live only until the next one. */
static void
keep(struct answer *answer, const struct nacre_sftp_reply *reply)
{
	answer->message = reply->message;
	answer->status = reply->status;
	answer->attributes = reply->attributes;
	answer->count = reply->count;
	if (reply->message == NACRE_SFTP_HANDLE)
		nacre_put_span(&answer->content, reply->handle);
	else if (reply->message == NACRE_SFTP_NAME || reply->message == NACRE_SFTP_EXTENDED_REPLY)
		nacre_put_span(
		    &answer->content, (struct nacre_span){reply->names.data, reply->names.length});
	if (answer->content.failed)
		out_of_memory();
}

static void
send_requests(struct remote *remote)
{
	for (;;) {
		size_t room;
		uint8_t *const place = link_room(remote->link, &room);

		if (place == NULL)
			break;
		size_t used = nacre_sftp_output(remote->sftp, place, room, nacre_clock_ms());
		for (const struct remote_transfer *one = remote->transfers;
		     one != NULL && used < room; one = one->next)
			used += nacre_transfer_output(one->transfer, 0, one->side, place + used,
			    room - used, nacre_clock_ms());
		link_commit(remote->link, used);
		if (used == 0)
			break;
	}
	link_flush(remote->link);
}

static void
hand_out(struct remote *remote, struct nacre_sftp_reply *reply)
{
	if (reply->message == 0 || reply->message == NACRE_SFTP_VERSION_REPLY)
		return;
	if (reply->owner == NULL) {
		if (reply->tag.context != NULL)
			keep(reply->tag.context, reply);
		return;
	}
	for (const struct remote_transfer *one = remote->transfers; one != NULL; one = one->next)
		if (one->transfer == reply->owner)
			nacre_transfer_reply(one->transfer, one->side, reply, nacre_clock_ms());
}

/* Everything that has come. False after a message. */
static bool
take_replies(struct remote *remote)
{
	struct nacre_sftp_reply reply;
	struct nacre_span data;

	while (link_data(remote->link, &data)) {
		const ssize_t used = nacre_sftp_receive(remote->sftp, data, &reply);

		if (used < 0) {
			complain("%s", nacre_sftp_error(remote->sftp));
			return false;
		}
		hand_out(remote, &reply);
		link_consumed(remote->link, (size_t)used);
	}
	return true;
}

void
remote_move(struct remote *remote, int64_t timeout)
{
	const bool wants_input = true;

	send_requests(remote);
	if (timeout != 0 && !remote->lost)
		link_wait(&remote->link, &wants_input, 1, timeout);
	struct nacre_buffer *const before =
	    remote->last_words != NULL ? message_divert(remote->last_words) : NULL;
	remote->lost = remote->lost || !take_replies(remote);
	if (!remote->lost && link_ended(remote->link)) {
		complain("Connection closed");
		remote->lost = true;
	}
	if (remote->last_words != NULL)
		message_divert(before);
}

void
remote_turn(struct remote *remote)
{
	/* What tasks ask for now leaves before anything is waited for. */
	const bool resumed = tasks_resume(remote->lost) > 0;

	if (!remote->lost)
		remote_move(remote, resumed ? 0 : remote->interrupted != NULL ? POLL_INTERVAL : -1);
}

bool
remote_interrupted(const struct remote *remote)
{
	return remote->interrupted != NULL && *remote->interrupted != 0;
}

bool
remote_wait(struct remote *remote, bool (*ready)(const void *what), const void *what)
{
	if (task_is_current()) {
		while (!ready(what) && !remote->lost)
			task_wait(ready, what);
		return ready(what);
	}
	remote_move(remote, 0);
	while (!ready(what) && !remote->lost && !remote_interrupted(remote))
		remote_turn(remote);
	return ready(what);
}

static bool
is_answered(const void *what)
{
	return ((const struct answer *)what)->message != 0;
}

bool
remote_await(struct remote *remote, struct answer *answer)
{
	if (remote_wait(remote, is_answered, answer))
		return true;
	nacre_sftp_forget(remote->sftp, answer);
	return false;
}

static bool
is_through(const void *what)
{
	return nacre_transfer_finished(what);
}

void
remote_run_transfer(
    struct remote *remote, struct nacre_transfer *transfer, enum nacre_transfer_side side)
{
	struct remote_transfer own = {
	    .transfer = transfer, .side = side, .next = remote->transfers};
	struct remote_transfer **link = &remote->transfers;

	remote->transfers = &own;
	remote_wait(remote, is_through, transfer);
	while (*link != &own)
		link = &(*link)->next;
	*link = own.next;
}

bool
remote_stat(struct remote *remote, const char *path, bool follow, struct answer *answer)
{
	const struct nacre_sftp_tag tag = answer_tag(answer);

	nacre_sftp_path_request(
	    remote->sftp, follow ? NACRE_SFTP_STAT : NACRE_SFTP_LSTAT, nacre_span_of(path), &tag);
	return remote_await(remote, answer) && answer->message == NACRE_SFTP_ATTRS;
}

char *
remote_real_path(struct remote *remote, const char *path)
{
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);
	struct nacre_sftp_name name;
	char *result = NULL;

	nacre_sftp_path_request(remote->sftp, NACRE_SFTP_REALPATH, nacre_span_of(path), &tag);
	if (remote_await(remote, &answer) && answer_ok(&answer, "realpath %s", path)) {
		struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&answer.content));

		if (nacre_sftp_get_name(&reader, &name))
			result = nacre_span_to_string(name.file_name);
		if (result == NULL)
			complain("realpath %s: the server's answer makes no sense", path);
	}
	answer_free(&answer);
	return result;
}

bool
remote_start(struct remote *remote)
{
	if (nacre_sftp_new(&remote->sftp) != 0)
		out_of_memory();
	remote->directory = remote_real_path(remote, ".");
	return remote->directory != NULL;
}

void
remote_end(struct remote *remote)
{
	nacre_sftp_free(remote->sftp);
	if (remote->link != NULL)
		link_close(remote->link);
	free(remote->directory);
	*remote = (struct remote){0};
}

char *
remote_absolute(const struct remote *remote, const char *path)
{
	const size_t length = strlen(remote->directory);
	const char *const slash = length > 0 && remote->directory[length - 1] == '/' ? "" : "/";
	char *result;

	if (asprintf(&result, "%s%s%s", path[0] == '/' ? "" : remote->directory,
		path[0] == '/' ? "" : slash, path) < 0)
		out_of_memory();
	return result;
}

/* Lists --------------------------------------------------------------------------------------- */

void
found_add(struct found_list *list, char *path, const struct nacre_sftp_attributes *attributes,
    char *long_name)
{
	if ((list->count & (list->count + 1)) == 0 || list->items == NULL) {
		struct found *const items =
		    reallocarray(list->items, 2 * list->count + 2, sizeof *items);

		if (items == NULL)
			out_of_memory();
		list->items = items;
	}
	if (path == NULL)
		out_of_memory();
	struct found *const found = &list->items[list->count++];
	found->path = path;
	found->attributes = *attributes;
	found->long_name = long_name;
}

void
found_free(struct found_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->items[i].path);
		free(list->items[i].long_name);
	}
	free(list->items);
	*list = (struct found_list){0};
}

/* A name with a slash in it would lead elsewhere. False when there are too many, or fewer than are
 * announced. */
static bool
take_names(const struct answer *answer, struct found_list *list)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&answer->content));
	struct nacre_sftp_name name;
	uint32_t count = 0;

	for (; count < answer->count && nacre_sftp_get_name(&reader, &name); count++)
		if (list->count < ENTRIES_MOST && name.file_name.length > 0 &&
		    memchr(name.file_name.data, '/', name.file_name.length) == NULL &&
		    memchr(name.file_name.data, '\0', name.file_name.length) == NULL)
			found_add(list, nacre_span_to_string(name.file_name), &name.attributes,
			    nacre_span_to_string(name.long_name));
	return list->count < ENTRIES_MOST && count == answer->count;
}

/* Asks for two pieces at once: the second one of most directories is their end. */
static bool
read_directory(
    struct remote *remote, struct nacre_span handle, const char *path, struct found_list *list)
{
	struct answer answers[READDIRS] = {0};
	size_t asked = 0, taken = 0;
	bool more = true, good = true;

	while (taken < asked || more) {
		struct answer *const answer = &answers[taken % READDIRS];

		while (more && asked < taken + READDIRS) {
			const struct nacre_sftp_tag tag = answer_tag(&answers[asked++ % READDIRS]);

			nacre_sftp_handle_request(remote->sftp, NACRE_SFTP_READDIR, handle, &tag);
		}
		good &= remote_await(remote, answer);
		taken++;
		if (more && good && answer->message == NACRE_SFTP_NAME && answer->count > 0) {
			more = good = take_names(answer, list);
			if (!good)
				complain(
				    "remote readdir(\"%s\"): the listing has no end or makes no "
				    "sense",
				    path);
		} else {
			if (more && good && answer->status != NACRE_SFTP_EOF)
				good = answer_ok(answer, "Couldn't read directory");
			more = false;
		}
		answer_free(answer);
	}
	return good;
}

bool
remote_list(struct remote *remote, const char *path, struct found_list *list)
{
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);
	bool good;

	nacre_sftp_path_request(remote->sftp, NACRE_SFTP_OPENDIR, nacre_span_of(path), &tag);
	good = remote_await(remote, &answer) &&
	       answer_ok(&answer, "remote readdir(\"%s\")", path) &&
	       answer.message == NACRE_SFTP_HANDLE;
	if (good) {
		const struct nacre_span handle = nacre_buffer_span(&answer.content);

		good = read_directory(remote, handle, path, list);
		nacre_sftp_handle_request(remote->sftp, NACRE_SFTP_CLOSE, handle, NULL);
	}
	answer_free(&answer);
	return good;
}
