/*
 * A transfer's frame: events, the schedule of what is opened and asked for next, and the ways of
 * bytes and replies in and out.
 */
#include <sftp/transfer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FILES_MAX        512
#define FILES_UNTOLD     128 /* when the server told no limit of handles */
#define HANDLES_KEPT     8UL /* for directories that are listed */
#define DESCRIPTORS_KEPT 48UL
#define QUEUE_BOUND      ((size_t)32 * 1024) /* requests queued ahead of the channel */
#define FOUND_LOW        64
#define WINDOW_START     ((uint64_t)4 * 1024 * 1024)

struct nacre_sftp_tag
transfer_tag(uint32_t kind, void *context, uint64_t value)
{
	return (struct nacre_sftp_tag){.context = context, .kind = kind, .value = value};
}

struct nacre_span
handle_span(const struct handle *handle)
{
	return (struct nacre_span){handle->bytes, handle->length};
}

bool
handle_set(struct handle *handle, struct nacre_span bytes)
{
	if (bytes.length > sizeof handle->bytes)
		return false;
	if (bytes.length > 0)
		memcpy(handle->bytes, bytes.data, bytes.length);
	handle->length = (uint16_t)bytes.length;
	handle->open = true;
	return true;
}

/* Events ------------------------------------------------------------------------------------ */

void
transfer_event(struct nacre_transfer *transfer, enum nacre_transfer_event_kind kind,
    const struct file *file, const char *text, bool ok)
{
	size_t length = strlen(text) + 1;
	struct event_node *node = malloc(sizeof *node + length);

	if (node == NULL) {
		transfer->fatal = true;
		transfer->errors++;
		return;
	}
	node->next = NULL;
	memcpy(node->text, text, length);
	node->event = (struct nacre_transfer_event){.kind = kind, .text = node->text, .ok = ok};
	if (file != NULL) {
		node->event.file = file->number;
		node->event.size = file->attributes.size;
		node->event.copied = file->copied;
	}
	*transfer->events_tail = node;
	transfer->events_tail = &node->next;
}

static void
error_event(struct nacre_transfer *transfer, bool counts, const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0) {
		transfer->fatal = true;
		transfer->errors++;
		return;
	}
	transfer_event(transfer, NACRE_TRANSFER_ERROR, NULL, text, !counts);
	if (counts)
		transfer->errors++;
	free(text);
}

void
transfer_error(struct nacre_transfer *transfer, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	error_event(transfer, true, format, arguments);
	va_end(arguments);
}

void
transfer_warning(struct nacre_transfer *transfer, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	error_event(transfer, false, format, arguments);
	va_end(arguments);
}

void
transfer_plan(struct nacre_transfer *transfer, const char *format, ...)
{
	va_list arguments;
	char *text;
	int length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0) {
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return;
	}
	transfer_event(transfer, NACRE_TRANSFER_PLAN, NULL, text, true);
	free(text);
}

bool
transfer_sets_times(const struct nacre_transfer *transfer)
{
	const struct nacre_transfer_options *options = &transfer->options;

	return options->preserve || options->sync || options->verify;
}

void
transfer_fatal(struct nacre_transfer *transfer, const char *text)
{
	if (transfer->fatal)
		return;
	transfer->fatal = true;
	transfer_error(transfer, "%s", text);
}

bool
transfer_sent(struct nacre_transfer *transfer, int result)
{
	if (result != 0)
		transfer_fatal(transfer, nacre_error_string(result));
	return result == 0;
}

/* What OpenSSH's clients say for a status. */
const char *
transfer_status_text(const struct nacre_sftp_reply *reply)
{
	if (reply->status == NACRE_SFTP_NO_SUCH_FILE)
		return "No such file or directory";
	return nacre_sftp_status_string(reply->status);
}

bool
nacre_transfer_next_event(struct nacre_transfer *transfer, struct nacre_transfer_event *event)
{
	struct event_node *node = transfer->events;

	free(transfer->taken);
	transfer->taken = node;
	if (node == NULL)
		return false;
	transfer->events = node->next;
	if (transfer->events == NULL)
		transfer->events_tail = &transfer->events;
	*event = node->event;
	return true;
}

uint64_t
nacre_transfer_errors(const struct nacre_transfer *transfer)
{
	return transfer->errors;
}

int
nacre_transfer_status(const struct nacre_transfer *transfer)
{
	if (transfer->errors == 0)
		return 0;
	return transfer->hopeless ? 255 : 1;
}

void
nacre_transfer_progress(
    const struct nacre_transfer *transfer, struct nacre_transfer_progress *progress)
{
	const struct file *current = transfer->current;

	*progress = transfer->progress;
	if (current != NULL) {
		progress->file = current->number;
		progress->file_size = current->attributes.size;
		progress->file_copied = current->copied;
	}
}

/* Objects ----------------------------------------------------------------------------------- */

void
object_track(struct nacre_transfer *transfer, struct tracked *object,
    void (*destroy)(struct tracked *object))
{
	object->destroy = destroy;
	object->next = transfer->objects;
	object->link = &transfer->objects;
	if (object->next != NULL)
		object->next->link = &object->next;
	transfer->objects = object;
}

void
object_free(struct tracked *object)
{
	*object->link = object->next;
	if (object->next != NULL)
		object->next->link = object->link;
	object->destroy(object);
}

/* Queues ------------------------------------------------------------------------------------ */

void
queue_init(struct file_queue *queue)
{
	*queue = (struct file_queue){0};
	queue->tail = &queue->first;
}

void
queue_push(struct file_queue *queue, struct file *file)
{
	file->next = NULL;
	*queue->tail = file;
	queue->tail = &file->next;
	queue->count++;
}

void
queue_push_front(struct file_queue *queue, struct file *file)
{
	if (queue->first == NULL) {
		queue_push(queue, file);
		return;
	}
	file->next = queue->first;
	queue->first = file;
	queue->count++;
}

struct file *
queue_pop(struct file_queue *queue)
{
	struct file *file = queue->first;

	if (file == NULL)
		return NULL;
	queue->first = file->next;
	if (queue->first == NULL)
		queue->tail = &queue->first;
	file->next = NULL;
	queue->count--;
	return file;
}

/* Rate -------------------------------------------------------------------------------------- */

#define RATE_SLACK 100 /* ms of bytes that may be ahead */

bool
transfer_rate_allows(const struct nacre_transfer *transfer)
{
	return transfer->options.rate == 0 || transfer->rate_time <= transfer->now + RATE_SLACK;
}

void
transfer_rate_count(struct nacre_transfer *transfer, uint64_t bytes)
{
	if (transfer->options.rate == 0)
		return;
	if (transfer->rate_time < transfer->now)
		transfer->rate_time = transfer->now;
	transfer->rate_time += bytes * 1000 / transfer->options.rate;
}

uint64_t
nacre_transfer_deadline(const struct nacre_transfer *transfer)
{
	if (transfer_rate_allows(transfer))
		return UINT64_MAX;
	for (size_t i = 0; i < transfer->lane_count; i++)
		if (transfer->lanes[i].movers.count > 0 || transfer->lanes[i].blocks != NULL)
			return transfer->rate_time - RATE_SLACK;
	return UINT64_MAX;
}

/* Schedule ---------------------------------------------------------------------------------- */

/* How many files may be open at once at both ends. */
static size_t
files_limit(const struct nacre_transfer *transfer)
{
	size_t limit = transfer->files_max;

	for (size_t i = 0; i < 2; i++) {
		uint64_t handles;

		if (transfer->ends[i] == NULL)
			continue;
		handles = nacre_sftp_limits(transfer->ends[i])->handles;
		if (handles == 0)
			handles = FILES_UNTOLD + HANDLES_KEPT;
		handles = handles > 2 * HANDLES_KEPT ? handles - HANDLES_KEPT : HANDLES_KEPT;
		if (handles < limit)
			limit = (size_t)handles;
	}
	return limit;
}

bool
transfer_has_room(const struct nacre_transfer *transfer)
{
	for (size_t i = 0; i < transfer->lane_count; i++)
		for (size_t side = 0; side < 2; side++)
			if (transfer->ends[side] != NULL &&
			    nacre_sftp_output_length(transfer->lanes[i].ends[side]) >= QUEUE_BOUND)
				return false;
	return true;
}

/* The connection with the least to do. A directory that is not made yet is known to its own only:
 * what comes behind MKDIR there finds it. */
static size_t
choose_lane(const struct nacre_transfer *transfer, const struct file *file)
{
	size_t chosen = 0;

	if (file->directory != NULL && file->directory->creating)
		return 0;
	for (size_t i = 1; i < transfer->lane_count; i++)
		if (transfer->lanes[i].in_flight < transfer->lanes[chosen].in_flight)
			chosen = i;
	return chosen;
}

static void
admit_files(struct nacre_transfer *transfer)
{
	size_t limit = files_limit(transfer);

	while (!transfer->fatal && transfer->in_flight < limit && transfer_has_room(transfer)) {
		struct file *file = queue_pop(&transfer->found);

		if (file == NULL) {
			if (!tree_walk_local(transfer))
				return;
			continue;
		}
		file->lane = choose_lane(transfer, file);
		transfer->in_flight++;
		transfer->lanes[file->lane].in_flight++;
		file_start(transfer, file);
	}
}

static void
schedule(struct nacre_transfer *transfer)
{
	if (transfer->fatal)
		return;
	if (!transfer->target_known) {
		tree_target_resolve(transfer);
		if (!transfer->target_known)
			return;
	}
	while (transfer->roots != NULL && transfer->ends[NACRE_TRANSFER_SOURCE] != NULL &&
	       transfer_has_room(transfer)) {
		struct root *root = transfer->roots;

		transfer->roots = root->next;
		if (transfer->roots == NULL)
			transfer->roots_tail = &transfer->roots;
		if (!transfer->cancelled && !root->known) {
			glob_start(transfer, root);
			continue;
		}
		if (!transfer->cancelled)
			tree_add_root(transfer, root->path, &root->attributes);
		object_free(&root->tracked);
	}
	tree_start_listings(transfer);
	admit_files(transfer);
	for (size_t i = 0; i < transfer->lane_count; i++)
		file_schedule_reads(transfer, &transfer->lanes[i]);
}

static void
own_requests(struct nacre_transfer *transfer, void *owner)
{
	for (size_t i = 0; i < transfer->lane_count; i++)
		for (size_t side = 0; side < 2; side++)
			if (transfer->ends[side] != NULL)
				nacre_sftp_set_owner(transfer->lanes[i].ends[side], owner);
}

size_t
nacre_transfer_output(struct nacre_transfer *transfer, size_t lane, enum nacre_transfer_side side,
    uint8_t *room, size_t length, uint64_t now)
{
	struct nacre_sftp *sftp =
	    lane < transfer->lane_count ? transfer->lanes[lane].ends[side] : NULL;
	size_t used = 0, count;

	if (sftp == NULL || transfer->fatal)
		return 0;
	own_requests(transfer, transfer);
	transfer->now = now;
	nacre_sftp_output(sftp, room, 0, now);
	do {
		schedule(transfer);
		count = nacre_sftp_output(sftp, room + used, length - used, now);
		used += count;
		if (nacre_sftp_output_length(sftp) == 0 && side == NACRE_TRANSFER_TARGET) {
			size_t written = file_produce_write(transfer, &transfer->lanes[lane],
			    room + used, length - used, used == 0);

			used += written;
			count += written;
		}
	} while (
	    (count > 0 || nacre_sftp_output_length(sftp) > 0) && used < length && !transfer->fatal);
	own_requests(transfer, NULL);
	return used;
}

static void
dispatch(struct nacre_transfer *transfer, struct nacre_sftp_reply *reply)
{
	enum tag_kind kind = (enum tag_kind)(reply->tag.kind & 0xff);

	if (kind <= TAG_TARGET_MKDIR)
		tree_target_reply(transfer, kind, reply);
	else if (kind <= TAG_GLOB_EXPAND)
		glob_reply(transfer, kind, reply);
	else if (kind <= TAG_STAGE_SWAP)
		tree_directory_reply(transfer, kind, reply);
	else if (kind <= TAG_REMOVAL_SELF)
		remove_reply(transfer, kind, reply);
	else if (kind == TAG_ITEM_STAT)
		tree_item_reply(transfer, reply);
	else if (kind <= TAG_EXAMINE_PART || kind == TAG_SETTLE)
		examine_reply(transfer, kind, reply);
	else if (kind <= TAG_CHECK_READ)
		verify_reply(transfer, kind, reply);
	else
		file_reply(transfer, kind, reply);
}

int
nacre_transfer_reply(struct nacre_transfer *transfer, enum nacre_transfer_side side,
    struct nacre_sftp_reply *reply, uint64_t now)
{
	if (transfer->ends[side] == NULL || transfer->fatal)
		return NACRE_ERROR_STATE;
	transfer->now = now;
	own_requests(transfer, transfer);
	if (reply->message != 0 && reply->message != NACRE_SFTP_VERSION_REPLY)
		dispatch(transfer, reply);
	own_requests(transfer, NULL);
	return transfer->fatal ? NACRE_ERROR_MEMORY : 0;
}

int
nacre_transfer_receive(struct nacre_transfer *transfer, size_t lane, enum nacre_transfer_side side,
    struct nacre_span bytes, uint64_t now)
{
	struct nacre_sftp *sftp =
	    lane < transfer->lane_count ? transfer->lanes[lane].ends[side] : NULL;
	struct nacre_sftp_reply reply;

	transfer->now = now;
	if (sftp == NULL || transfer->fatal)
		return NACRE_ERROR_STATE;
	while (bytes.length > 0 && !transfer->fatal) {
		ssize_t used = nacre_sftp_receive(sftp, bytes, &reply);

		if (used < 0) {
			transfer_fatal(transfer, used == NACRE_ERROR_PROTOCOL
						     ? nacre_sftp_error(sftp)
						     : nacre_error_string((int)used));
			return (int)used;
		}
		bytes.data += used;
		bytes.length -= (size_t)used;
		nacre_transfer_reply(transfer, side, &reply, now);
	}
	return transfer->fatal ? NACRE_ERROR_MEMORY : 0;
}

bool
nacre_transfer_wants_input(const struct nacre_transfer *transfer, enum nacre_transfer_side side)
{
	return side == NACRE_TRANSFER_TARGET || transfer->ends[NACRE_TRANSFER_TARGET] == NULL ||
	       transfer->cross_bytes < 2 * CROSS_BOUND;
}

void
nacre_transfer_cancel(struct nacre_transfer *transfer)
{
	transfer->cancelled = true;
	for (size_t i = 0; i < transfer->lane_count; i++)
		for (struct file *file = transfer->lanes[i].movers.first; file != NULL;
		     file = file->next)
			file->failed = true;
}

bool
nacre_transfer_finished(const struct nacre_transfer *transfer)
{
	return transfer->fatal || (transfer->target_known && transfer->objects == NULL);
}

/* Life -------------------------------------------------------------------------------------- */

static size_t
descriptors_for_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= FILES_MAX + DESCRIPTORS_KEPT)
		return FILES_MAX;
	return limit.rlim_cur > 2 * DESCRIPTORS_KEPT ? (size_t)limit.rlim_cur - DESCRIPTORS_KEPT
						     : 16;
}

static void
make_lanes(struct nacre_transfer *transfer)
{
	const struct nacre_transfer_options *options = &transfer->options;

	transfer->lane_count =
	    options->more_count < LANES_MAX ? options->more_count + 1 : LANES_MAX;
	for (size_t i = 0; i < transfer->lane_count; i++) {
		struct lane *lane = &transfer->lanes[i];

		for (size_t side = 0; side < 2; side++)
			lane->ends[side] = transfer->ends[side];
		if (i > 0 && options->source != NULL)
			lane->ends[NACRE_TRANSFER_SOURCE] = options->more_sources[i - 1];
		if (i > 0 && options->target != NULL)
			lane->ends[NACRE_TRANSFER_TARGET] = options->more_targets[i - 1];
		queue_init(&lane->movers);
		lane->blocks_tail = &lane->blocks;
		lane->write_window = WRITE_WINDOW_START;
		lane->least_write_delay = UINT64_MAX;
	}
}

int
nacre_transfer_new(
    const struct nacre_transfer_options *options, struct nacre_transfer **transfer_out)
{
	struct nacre_transfer *transfer;

	*transfer_out = NULL;
	if (options->source == NULL && options->target == NULL)
		return NACRE_ERROR_ARGUMENT;
	if ((transfer = calloc(1, sizeof *transfer)) == NULL)
		return NACRE_ERROR_MEMORY;
	transfer->options = *options;
	transfer->ends[NACRE_TRANSFER_SOURCE] = options->source;
	transfer->ends[NACRE_TRANSFER_TARGET] = options->target;
	make_lanes(transfer);
	transfer->target_path = strdup(options->target_path);
	transfer->roots_tail = &transfer->roots;
	transfer->to_list_tail = &transfer->to_list;
	transfer->parked_tail = &transfer->parked;
	transfer->events_tail = &transfer->events;
	queue_init(&transfer->found);
	transfer->files_max = descriptors_for_files();
	transfer->window = WINDOW_START;
	transfer->least_delay = UINT64_MAX;
	if (transfer->target_path == NULL) {
		free(transfer);
		return NACRE_ERROR_MEMORY;
	}
	*transfer_out = transfer;
	return 0;
}

static void
root_destroy(struct tracked *object)
{
	struct root *root = (struct root *)object;

	free(root->path);
	free(root);
}

static struct root *
root_add(struct nacre_transfer *transfer, const char *path)
{
	struct root *root = calloc(1, sizeof *root);

	if (root == NULL || (root->path = strdup(path)) == NULL) {
		free(root);
		return NULL;
	}
	object_track(transfer, &root->tracked, root_destroy);
	*transfer->roots_tail = root;
	transfer->roots_tail = &root->next;
	return root;
}

int
nacre_transfer_add(struct nacre_transfer *transfer, const char *path)
{
	return root_add(transfer, path) != NULL ? 0 : NACRE_ERROR_MEMORY;
}

int
nacre_transfer_add_known(struct nacre_transfer *transfer, const char *path,
    const struct nacre_sftp_attributes *attributes)
{
	struct root *const root = root_add(transfer, path);

	if (root == NULL)
		return NACRE_ERROR_MEMORY;
	root->known = true;
	root->attributes = *attributes;
	return 0;
}

static void
free_blocks(struct lane *lane)
{
	struct block *block;

	while ((block = lane->blocks) != NULL) {
		lane->blocks = block->next;
		free(block);
	}
}

void
nacre_transfer_free(struct nacre_transfer *transfer)
{
	struct event_node *node;

	if (transfer == NULL)
		return;
	for (size_t i = 0; i < transfer->lane_count; i++)
		for (size_t side = 0; side < 2; side++)
			if (transfer->ends[side] != NULL)
				nacre_sftp_forget(transfer->lanes[i].ends[side], transfer);
	while (transfer->objects != NULL)
		object_free(transfer->objects);
	for (size_t i = 0; i < transfer->lane_count; i++)
		free_blocks(&transfer->lanes[i]);
	while ((node = transfer->events) != NULL) {
		transfer->events = node->next;
		free(node);
	}
	free(transfer->taken);
	free(transfer->target_path);
	free(transfer);
}
