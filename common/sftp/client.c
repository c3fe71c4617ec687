/*
 * The client's end of an SFTP connection: numbers requests, matches replies, cuts received bytes
 * into messages. File data of a reply is passed on in the pieces in which it comes.
 */
#include <nacre/sftp_client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS_MAX 0x10000U
#define NO_REQUEST   UINT32_MAX
#define QUEUE_MAX    ((size_t)16 * 1024 * 1024)
#define DATA_HEAD    13 /* length, type, request id, data length */

struct request {
	uint16_t generation;
	uint8_t message; /* 0: free */
	bool wanted;     /* the caller wants the reply */
	bool limits;     /* our own question for the limits */
	uint32_t next_free;
	uint32_t length; /* of a READ */
	struct nacre_sftp_tag tag;
	void *owner;
	uint64_t sent_at;
};

struct nacre_sftp {
	struct nacre_buffer queue; /* request bytes to be sent */
	struct nacre_buffer input; /* the beginning of a message that is not complete */
	bool input_used;           /* it held the last reply: drop it first */
	struct request *requests;
	uint32_t request_count, first_free;
	size_t outstanding;
	void *owner; /* of the requests that are made now */
	/* A DATA reply that is coming in. */
	struct request data_request;
	size_t data_left, data_total;
	uint64_t now;
	bool ready;
	uint32_t version, extensions;
	struct nacre_sftp_limits limits;
	char error[160];
};

static const struct {
	const char *name, *version;
	enum nacre_sftp_extension extension;
} known_extensions[] = {
    {"posix-rename@openssh.com", "1", NACRE_SFTP_POSIX_RENAME},
    {"statvfs@openssh.com", "2", NACRE_SFTP_STATVFS},
    {"fstatvfs@openssh.com", "2", NACRE_SFTP_FSTATVFS},
    {"hardlink@openssh.com", "1", NACRE_SFTP_HARDLINK},
    {"fsync@openssh.com", "1", NACRE_SFTP_FSYNC},
    {"lsetstat@openssh.com", "1", NACRE_SFTP_LSETSTAT},
    {"limits@openssh.com", "1", NACRE_SFTP_LIMITS},
    {"expand-path@openssh.com", "1", NACRE_SFTP_EXPAND_PATH},
    {"copy-data", "1", NACRE_SFTP_COPY_DATA},
    {"home-directory", "1", NACRE_SFTP_HOME_DIRECTORY},
    {"users-groups-by-id@openssh.com", "1", NACRE_SFTP_USERS_GROUPS_BY_ID},
    {"check-file-name", "1", NACRE_SFTP_CHECK_FILE},
    {"exchange@nacre", "1", NACRE_SFTP_EXCHANGE},
};

/* What may answer a request besides a status. */
static const struct {
	uint8_t request, reply;
} reply_kinds[] = {
    {NACRE_SFTP_OPEN, NACRE_SFTP_HANDLE},
    {NACRE_SFTP_OPENDIR, NACRE_SFTP_HANDLE},
    {NACRE_SFTP_READ, NACRE_SFTP_DATA},
    {NACRE_SFTP_READDIR, NACRE_SFTP_NAME},
    {NACRE_SFTP_REALPATH, NACRE_SFTP_NAME},
    {NACRE_SFTP_READLINK, NACRE_SFTP_NAME},
    {NACRE_SFTP_STAT, NACRE_SFTP_ATTRS},
    {NACRE_SFTP_LSTAT, NACRE_SFTP_ATTRS},
    {NACRE_SFTP_FSTAT, NACRE_SFTP_ATTRS},
    {NACRE_SFTP_EXTENDED, NACRE_SFTP_NAME},
    {NACRE_SFTP_EXTENDED, NACRE_SFTP_EXTENDED_REPLY},
};

__attribute__((format(printf, 2, 3))) static ssize_t
protocol_error(struct nacre_sftp *sftp, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(sftp->error, sizeof sftp->error, format, arguments);
	va_end(arguments);
	return NACRE_ERROR_PROTOCOL;
}

const char *
nacre_sftp_error(const struct nacre_sftp *sftp)
{
	return sftp->error;
}

/* Requests ---------------------------------------------------------------------------------- */

static bool
requests_grow(struct nacre_sftp *sftp)
{
	uint32_t count = sftp->request_count == 0 ? 64 : sftp->request_count * 2;
	struct request *requests;

	if (count > REQUESTS_MAX ||
	    (requests = reallocarray(sftp->requests, count, sizeof *requests)) == NULL)
		return false;
	for (uint32_t i = sftp->request_count; i < count; i++)
		requests[i] = (struct request){.next_free = i + 1 < count ? i + 1 : NO_REQUEST};
	sftp->first_free = sftp->request_count;
	sftp->requests = requests;
	sftp->request_count = count;
	return true;
}

/* A slot for a request; its id is told by request_id(). NULL without memory. */
static struct request *
request_new(
    struct nacre_sftp *sftp, enum nacre_sftp_message message, const struct nacre_sftp_tag *tag)
{
	struct request *request;

	if (sftp->first_free == NO_REQUEST && !requests_grow(sftp))
		return NULL;
	request = &sftp->requests[sftp->first_free];
	sftp->first_free = request->next_free;
	*request = (struct request){
	    .generation = (uint16_t)(request->generation + 1),
	    .message = (uint8_t)message,
	    .wanted = tag != NULL,
	    .owner = sftp->owner,
	    .sent_at = sftp->now,
	};
	if (tag != NULL)
		request->tag = *tag;
	sftp->outstanding++;
	return request;
}

static uint32_t
request_id(const struct nacre_sftp *sftp, const struct request *request)
{
	return (uint32_t)request->generation << 16 | (uint32_t)(request - sftp->requests);
}

static void
request_release(struct nacre_sftp *sftp, struct request *request)
{
	request->message = 0;
	request->next_free = sftp->first_free;
	sftp->first_free = (uint32_t)(request - sftp->requests);
	sftp->outstanding--;
}

static struct request *
request_of_id(struct nacre_sftp *sftp, uint32_t id)
{
	struct request *request;

	if ((id & 0xffff) >= sftp->request_count)
		return NULL;
	request = &sftp->requests[id & 0xffff];
	return request->message != 0 && request->generation == id >> 16 ? request : NULL;
}

void *
nacre_sftp_set_owner(struct nacre_sftp *sftp, void *owner)
{
	void *const before = sftp->owner;

	sftp->owner = owner;
	return before;
}

static void
request_forget(struct request *request, const void *whom)
{
	if (request->owner == whom || request->tag.context == whom)
		request->wanted = false;
}

void
nacre_sftp_forget(struct nacre_sftp *sftp, const void *whom)
{
	for (uint32_t i = 0; i < sftp->request_count; i++)
		request_forget(&sftp->requests[i], whom);
	request_forget(&sftp->data_request, whom);
}

/* A message under construction in the queue. */
struct message {
	struct request *request;
	size_t mark, before;
};

static bool
message_begin(struct nacre_sftp *sftp, struct message *message, enum nacre_sftp_message kind,
    const struct nacre_sftp_tag *tag)
{
	message->before = nacre_buffer_length(&sftp->queue);
	if ((message->request = request_new(sftp, kind, tag)) == NULL)
		return false;
	message->mark = nacre_put_string_begin(&sftp->queue);
	nacre_put_byte(&sftp->queue, (uint8_t)kind);
	nacre_put_u32(&sftp->queue, request_id(sftp, message->request));
	return true;
}

static int
message_end(struct nacre_sftp *sftp, const struct message *message)
{
	size_t length = nacre_buffer_length(&sftp->queue) - message->before;

	nacre_put_string_end(&sftp->queue, message->mark);
	if (!sftp->queue.failed && length <= NACRE_SFTP_MESSAGE_MAX + 4)
		return 0;
	nacre_buffer_truncate(&sftp->queue, message->before);
	request_release(sftp, message->request);
	if (!sftp->queue.failed)
		return NACRE_ERROR_ARGUMENT;
	sftp->queue.failed = false;
	return NACRE_ERROR_MEMORY;
}

int
nacre_sftp_open(struct nacre_sftp *sftp, struct nacre_span path, uint32_t flags,
    const struct nacre_sftp_attributes *attributes, const struct nacre_sftp_tag *tag)
{
	struct message message;

	if (!message_begin(sftp, &message, NACRE_SFTP_OPEN, tag))
		return NACRE_ERROR_MEMORY;
	nacre_put_string_span(&sftp->queue, path);
	nacre_put_u32(&sftp->queue, flags);
	nacre_sftp_put_attributes(&sftp->queue, attributes);
	return message_end(sftp, &message);
}

int
nacre_sftp_handle_request(struct nacre_sftp *sftp, enum nacre_sftp_message kind,
    struct nacre_span handle, const struct nacre_sftp_tag *tag)
{
	return nacre_sftp_path_request(sftp, kind, handle, tag);
}

int
nacre_sftp_read(struct nacre_sftp *sftp, struct nacre_span handle, uint64_t offset, uint32_t length,
    const struct nacre_sftp_tag *tag)
{
	struct message message;

	if (!message_begin(sftp, &message, NACRE_SFTP_READ, tag))
		return NACRE_ERROR_MEMORY;
	message.request->length = length;
	nacre_put_string_span(&sftp->queue, handle);
	nacre_put_u64(&sftp->queue, offset);
	nacre_put_u32(&sftp->queue, length);
	return message_end(sftp, &message);
}

/* NOLINTBEGIN(readability-non-const-parameter): "head" writes to the room */
size_t
nacre_sftp_write_head(struct nacre_sftp *sftp, uint8_t *room, struct nacre_span handle,
    uint64_t offset, uint32_t length, const struct nacre_sftp_tag *tag, uint64_t now)
{
	struct nacre_buffer head = {.data = room, .capacity = NACRE_SFTP_WRITE_HEAD_MAX};
	struct request *request;

	sftp->now = now;
	if (nacre_buffer_length(&sftp->queue) > 0 || handle.length > NACRE_SFTP_HANDLE_MAX ||
	    (request = request_new(sftp, NACRE_SFTP_WRITE, tag)) == NULL)
		return 0;
	/* The capacity is known to do: the room is never moved. */
	nacre_put_u32(&head, (uint32_t)(1 + 4 + 4 + handle.length + 8 + 4) + length);
	nacre_put_byte(&head, NACRE_SFTP_WRITE);
	nacre_put_u32(&head, request_id(sftp, request));
	nacre_put_string_span(&head, handle);
	nacre_put_u64(&head, offset);
	nacre_put_u32(&head, length);
	return head.end;
}
/* NOLINTEND(readability-non-const-parameter) */

int
nacre_sftp_write(struct nacre_sftp *sftp, struct nacre_span handle, uint64_t offset,
    struct nacre_span data, const struct nacre_sftp_tag *tag)
{
	struct message message;

	if (!message_begin(sftp, &message, NACRE_SFTP_WRITE, tag))
		return NACRE_ERROR_MEMORY;
	nacre_put_string_span(&sftp->queue, handle);
	nacre_put_u64(&sftp->queue, offset);
	nacre_put_string_span(&sftp->queue, data);
	return message_end(sftp, &message);
}

int
nacre_sftp_path_request(struct nacre_sftp *sftp, enum nacre_sftp_message kind,
    struct nacre_span path, const struct nacre_sftp_tag *tag)
{
	struct message message;

	if (!message_begin(sftp, &message, kind, tag))
		return NACRE_ERROR_MEMORY;
	nacre_put_string_span(&sftp->queue, path);
	return message_end(sftp, &message);
}

int
nacre_sftp_attributes_request(struct nacre_sftp *sftp, enum nacre_sftp_message kind,
    struct nacre_span target, const struct nacre_sftp_attributes *attributes,
    const struct nacre_sftp_tag *tag)
{
	struct message message;

	if (!message_begin(sftp, &message, kind, tag))
		return NACRE_ERROR_MEMORY;
	nacre_put_string_span(&sftp->queue, target);
	nacre_sftp_put_attributes(&sftp->queue, attributes);
	return message_end(sftp, &message);
}

int
nacre_sftp_paths_request(struct nacre_sftp *sftp, enum nacre_sftp_message kind,
    struct nacre_span first, struct nacre_span second, const struct nacre_sftp_tag *tag)
{
	struct message message;

	if (!message_begin(sftp, &message, kind, tag))
		return NACRE_ERROR_MEMORY;
	nacre_put_string_span(&sftp->queue, first);
	nacre_put_string_span(&sftp->queue, second);
	return message_end(sftp, &message);
}

static int
extended_request(struct nacre_sftp *sftp, const char *name, struct nacre_span payload,
    const struct nacre_sftp_tag *tag, bool limits)
{
	struct message message;

	if (!message_begin(sftp, &message, NACRE_SFTP_EXTENDED, tag))
		return NACRE_ERROR_MEMORY;
	message.request->limits = limits;
	nacre_put_cstring(&sftp->queue, name);
	nacre_put_span(&sftp->queue, payload);
	return message_end(sftp, &message);
}

int
nacre_sftp_extended_request(struct nacre_sftp *sftp, const char *name, struct nacre_span payload,
    const struct nacre_sftp_tag *tag)
{
	return extended_request(sftp, name, payload, tag, false);
}

/* Connection -------------------------------------------------------------------------------- */

int
nacre_sftp_new(struct nacre_sftp **sftp_out)
{
	struct nacre_sftp *sftp = calloc(1, sizeof *sftp);

	*sftp_out = sftp;
	if (sftp == NULL)
		return NACRE_ERROR_MEMORY;
	sftp->first_free = NO_REQUEST;
	sftp->queue.limit = QUEUE_MAX;
	sftp->input.limit = NACRE_SFTP_MESSAGE_MAX + 4;
	sftp->limits = (struct nacre_sftp_limits){
	    .message = NACRE_SFTP_MESSAGE_MAX,
	    .read = NACRE_SFTP_DATA_DEFAULT,
	    .write = NACRE_SFTP_DATA_DEFAULT,
	};
	nacre_put_u32(&sftp->queue, 5);
	nacre_put_byte(&sftp->queue, NACRE_SFTP_INIT);
	nacre_put_u32(&sftp->queue, NACRE_SFTP_VERSION);
	/* Asked without waiting for the server to say that it knows it: others answer
	 * OP_UNSUPPORTED. */
	if (extended_request(
		sftp, "limits@openssh.com", (struct nacre_span){NULL, 0}, NULL, true) != 0) {
		nacre_sftp_free(sftp);
		*sftp_out = NULL;
		return NACRE_ERROR_MEMORY;
	}
	return 0;
}

void
nacre_sftp_free(struct nacre_sftp *sftp)
{
	if (sftp == NULL)
		return;
	nacre_buffer_free(&sftp->queue);
	nacre_buffer_free(&sftp->input);
	free(sftp->requests);
	free(sftp);
}

size_t
nacre_sftp_output(struct nacre_sftp *sftp, uint8_t *room, size_t length, uint64_t now)
{
	struct nacre_span queued = nacre_buffer_span(&sftp->queue);

	sftp->now = now;
	if (length > queued.length)
		length = queued.length;
	if (length > 0)
		memcpy(room, queued.data, length);
	nacre_buffer_consume(&sftp->queue, length);
	return length;
}

size_t
nacre_sftp_output_length(const struct nacre_sftp *sftp)
{
	return nacre_buffer_length(&sftp->queue);
}

bool
nacre_sftp_ready(const struct nacre_sftp *sftp)
{
	return sftp->ready;
}

uint32_t
nacre_sftp_version(const struct nacre_sftp *sftp)
{
	return sftp->version;
}

uint32_t
nacre_sftp_extensions(const struct nacre_sftp *sftp)
{
	return sftp->extensions;
}

const struct nacre_sftp_limits *
nacre_sftp_limits(const struct nacre_sftp *sftp)
{
	return &sftp->limits;
}

size_t
nacre_sftp_outstanding(const struct nacre_sftp *sftp)
{
	return sftp->outstanding;
}

/* Replies ----------------------------------------------------------------------------------- */

static void
learn_extension(struct nacre_sftp *sftp, struct nacre_span name, struct nacre_span version)
{
	for (size_t i = 0; i < sizeof known_extensions / sizeof known_extensions[0]; i++)
		if (nacre_span_equals(name, known_extensions[i].name) &&
		    nacre_span_equals(version, known_extensions[i].version))
			sftp->extensions |= known_extensions[i].extension;
}

static ssize_t
take_version(struct nacre_sftp *sftp, struct nacre_reader *message, struct nacre_sftp_reply *reply)
{
	sftp->version = nacre_get_u32(message);
	if (message->failed || sftp->ready)
		return protocol_error(sftp, "Invalid version reply from the SFTP server");
	if (sftp->version != NACRE_SFTP_VERSION)
		return protocol_error(sftp,
		    "The server speaks SFTP version %u; only version 3 is known here",
		    sftp->version);
	while (message->length > 0 && !message->failed) {
		struct nacre_span name = nacre_get_string(message);

		learn_extension(sftp, name, nacre_get_string(message));
	}
	if (message->failed)
		return protocol_error(sftp, "Invalid version reply from the SFTP server");
	sftp->ready = true;
	reply->message = NACRE_SFTP_VERSION_REPLY;
	return 0;
}

/* 0 means that the server sets no bound of its own. */
static uint64_t
limit_of(uint64_t told)
{
	return told == 0 || told > NACRE_SFTP_DATA_MAX ? NACRE_SFTP_DATA_MAX : told;
}

static void
learn_limits(struct nacre_sftp *sftp, struct nacre_reader *payload)
{
	struct nacre_sftp_limits limits;

	limits.message = nacre_get_u64(payload);
	limits.read = limit_of(nacre_get_u64(payload));
	limits.write = limit_of(nacre_get_u64(payload));
	limits.handles = nacre_get_u64(payload);
	if (limits.message == 0 || limits.message > NACRE_SFTP_MESSAGE_MAX)
		limits.message = NACRE_SFTP_MESSAGE_MAX;
	if (limits.write + 1024 > limits.message)
		limits.write = limits.message > 2048 ? limits.message - 1024 : 1024;
	if (!payload->failed)
		sftp->limits = limits;
}

static bool
reply_fits(uint8_t request, uint8_t reply)
{
	if (reply == NACRE_SFTP_STATUS)
		return true;
	for (size_t i = 0; i < sizeof reply_kinds / sizeof reply_kinds[0]; i++)
		if (reply_kinds[i].request == request && reply_kinds[i].reply == reply)
			return true;
	return false;
}

static void
take_fields(struct nacre_reader *message, struct nacre_sftp_reply *reply)
{
	switch (reply->message) {
	case NACRE_SFTP_STATUS:
		reply->status = nacre_get_u32(message);
		/* Text and language are missing in servers of before version 3. */
		if (message->length > 0) {
			reply->text = nacre_get_string(message);
			nacre_get_string(message);
		}
		break;
	case NACRE_SFTP_HANDLE:
		reply->handle = nacre_get_string(message);
		if (reply->handle.length > NACRE_SFTP_HANDLE_MAX)
			message->failed = true;
		break;
	case NACRE_SFTP_ATTRS:
		nacre_sftp_get_attributes(message, &reply->attributes);
		break;
	case NACRE_SFTP_NAME:
		reply->count = nacre_get_u32(message);
		reply->names = nacre_reader_of(nacre_get_rest(message));
		break;
	default:
		reply->names = nacre_reader_of(nacre_get_rest(message));
		break;
	}
}

/* A complete message other than DATA. */
static ssize_t
take_message(struct nacre_sftp *sftp, struct nacre_span bytes, struct nacre_sftp_reply *reply)
{
	struct nacre_reader message = nacre_reader_of(bytes);
	uint8_t type = nacre_get_byte(&message);
	struct request *request;
	bool limits, wanted;

	if (type == NACRE_SFTP_VERSION_REPLY)
		return take_version(sftp, &message, reply);
	if (!sftp->ready)
		return protocol_error(sftp,
		    "Received message %u in place of an SFTP version reply: does the remote "
		    "account print text at login?",
		    type);
	request = request_of_id(sftp, nacre_get_u32(&message));
	if (message.failed || request == NULL || !reply_fits(request->message, type))
		return protocol_error(sftp, "Unexpected message %u from the SFTP server", type);
	reply->message = (enum nacre_sftp_message)type;
	reply->tag = request->tag;
	reply->owner = request->owner;
	reply->sent_at = request->sent_at;
	limits = request->limits;
	wanted = request->wanted;
	request_release(sftp, request);
	take_fields(&message, reply);
	if (message.failed)
		return protocol_error(sftp, "Malformed message %u from the SFTP server", type);
	if (limits && type == NACRE_SFTP_EXTENDED_REPLY)
		learn_limits(sftp, &reply->names);
	if (!wanted)
		reply->message = (enum nacre_sftp_message)0;
	return 0;
}

/* The head of a DATA reply, DATA_HEAD bytes with its length in front. */
static ssize_t
begin_data(struct nacre_sftp *sftp, struct nacre_span head)
{
	struct nacre_reader reader = nacre_reader_of(head);
	uint32_t length = nacre_get_u32(&reader);
	struct request *request;
	uint32_t id, data;

	nacre_get_byte(&reader);
	id = nacre_get_u32(&reader);
	data = nacre_get_u32(&reader);
	request = request_of_id(sftp, id);
	if (!sftp->ready || request == NULL || request->message != NACRE_SFTP_READ)
		return protocol_error(sftp, "Unexpected file data from the SFTP server");
	if (data > request->length || length != data + DATA_HEAD - 4)
		return protocol_error(sftp,
		    "Received %u bytes of file data where %u were asked for", data,
		    request->length);
	sftp->data_request = *request;
	sftp->data_left = sftp->data_total = data;
	request_release(sftp, request);
	return 0;
}

/* Passes on what there is of the file data. */
static size_t
pass_data(struct nacre_sftp *sftp, struct nacre_span bytes, struct nacre_sftp_reply *reply)
{
	size_t length = bytes.length < sftp->data_left ? bytes.length : sftp->data_left;

	if (sftp->data_request.wanted)
		reply->message = NACRE_SFTP_DATA;
	reply->tag = sftp->data_request.tag;
	reply->owner = sftp->data_request.owner;
	reply->sent_at = sftp->data_request.sent_at;
	reply->data = (struct nacre_span){bytes.data, length};
	reply->data_offset = sftp->data_total - sftp->data_left;
	reply->data_total = sftp->data_total;
	sftp->data_left -= length;
	reply->last = sftp->data_left == 0;
	return length;
}

/* How many bytes of the message at the start of "bytes" must be together: its whole, or the head
 * of a DATA message. 0: impossible. */
static size_t
wanted_length(struct nacre_span bytes)
{
	struct nacre_reader reader = nacre_reader_of(bytes);
	uint32_t length = nacre_get_u32(&reader);
	uint8_t type = nacre_get_byte(&reader);

	if (bytes.length < 5)
		return bytes.length >= 4 && length == 0 ? 0 : 5;
	if (length > NACRE_SFTP_MESSAGE_MAX || length == 0 ||
	    (type == NACRE_SFTP_DATA && length < DATA_HEAD - 4))
		return 0;
	return type == NACRE_SFTP_DATA ? DATA_HEAD : (size_t)length + 4;
}

static ssize_t
take_gathered(struct nacre_sftp *sftp, struct nacre_span bytes, struct nacre_sftp_reply *reply)
{
	ssize_t result;

	if (bytes.data[4] != NACRE_SFTP_DATA)
		return take_message(
		    sftp, (struct nacre_span){bytes.data + 4, bytes.length - 4}, reply);
	result = begin_data(sftp, bytes);
	if (result == 0 && sftp->data_left == 0)
		pass_data(sftp, (struct nacre_span){bytes.data, 0}, reply);
	return result;
}

/* Adds to the beginning that is kept what it lacks. */
static ssize_t
gather(struct nacre_sftp *sftp, struct nacre_span bytes, struct nacre_sftp_reply *reply)
{
	size_t used = 0;

	for (;;) {
		struct nacre_span held = nacre_buffer_span(&sftp->input);
		size_t wanted = wanted_length(held), take;
		ssize_t result;

		if (wanted == 0)
			return protocol_error(sftp,
			    "Impossible message length from the SFTP server: does the remote "
			    "account print text at login?");
		if (held.length == wanted) {
			sftp->input_used = true;
			result = take_gathered(sftp, held, reply);
			return result < 0 ? result : (ssize_t)used;
		}
		take = wanted - held.length;
		if (take > bytes.length - used)
			take = bytes.length - used;
		if (take == 0)
			return (ssize_t)used;
		nacre_put_bytes(&sftp->input, bytes.data + used, take);
		if (sftp->input.failed)
			return NACRE_ERROR_MEMORY;
		used += take;
	}
}

ssize_t
nacre_sftp_receive(struct nacre_sftp *sftp, struct nacre_span bytes, struct nacre_sftp_reply *reply)
{
	size_t wanted;
	ssize_t result;

	*reply = (struct nacre_sftp_reply){0};
	if (sftp->input_used) {
		nacre_buffer_consume(&sftp->input, nacre_buffer_length(&sftp->input));
		sftp->input_used = false;
	}
	if (bytes.length == 0)
		return 0;
	if (sftp->data_left > 0)
		return (ssize_t)pass_data(sftp, bytes, reply);
	wanted = wanted_length(bytes);
	if (nacre_buffer_length(&sftp->input) > 0 || wanted == 0 || wanted > bytes.length)
		return gather(sftp, bytes, reply);
	result = take_gathered(sftp, (struct nacre_span){bytes.data, wanted}, reply);
	return result < 0 ? result : (ssize_t)wanted;
}

bool
nacre_sftp_get_name(struct nacre_reader *names, struct nacre_sftp_name *name)
{
	if (names->failed || names->length == 0)
		return false;
	name->file_name = nacre_get_string(names);
	name->long_name = nacre_get_string(names);
	nacre_sftp_get_attributes(names, &name->attributes);
	return !names->failed;
}
