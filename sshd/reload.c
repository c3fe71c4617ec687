/*
 * What the listener knows of strangers and penalties, from one life of the server to the next: SIGHUP
 * makes this process the program anew, with another configuration perhaps. In a memory file: the
 * number of descriptors and these, so that any version of this program can close them; then the form
 * of the rest, and the rest.
 */
#include "listener.h"

#include <nacre/log.h>
#include <nacre/process.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT      "NACRE_SSHD_STRANGERS"
#define FORM      "strangers 1"
#define FILE_MOST ((size_t)256 * 1024 * 1024)

/* Leaving ------------------------------------------------------------------------------------- */

struct keeping {
	struct nacre_buffer descriptors, strangers;
	uint32_t count;
};

static void
keep_stranger(const struct stranger *stranger, void *context)
{
	struct keeping *keeping = context;
	struct nacre_buffer *kept = &keeping->strangers;
	const struct peer *peer = &stranger->peer;

	if (stranger->gone || fcntl(stranger->fd, F_SETFD, 0) != 0)
		return;
	keeping->count++;
	nacre_put_u32(&keeping->descriptors, (uint32_t)stranger->fd);
	nacre_put_byte(kept, (uint8_t)stranger->class);
	nacre_put_boolean(kept, stranger->doomed);
	nacre_put_boolean(kept, stranger->by_proxy);
	nacre_put_u64(kept, stranger->since);
	nacre_put_u32(kept, (uint32_t)stranger->worker);
	nacre_put_cstring(kept, peer->address);
	nacre_put_u32(kept, (uint32_t)peer->port);
	nacre_put_cstring(kept, peer->local_address);
	nacre_put_u32(kept, (uint32_t)peer->local_port);
}

static void
keep_queue(const struct link *queue, struct keeping *keeping)
{
	for (const struct link *at = queue->next; at != queue; at = at->next)
		keep_stranger(LINKED(const struct stranger, arrival, at), keeping);
}

static void
keep_admission(const struct admission *admission, struct nacre_buffer *kept)
{
	nacre_put_cstring(kept, FORM);
	nacre_put_boolean(kept, admission->throttling);
	nacre_put_u64(kept, admission->throttled_until);
	nacre_put_u64(kept, admission->dropped);
	nacre_put_u64(kept, admission->noise_until);
	sources_keep(admission->sources, kept);
}

static int
write_file(const struct admission *admission, const struct keeping *keeping)
{
	struct nacre_buffer all = {0};
	int fd = -1;

	nacre_put_u32(&all, keeping->count);
	nacre_put_span(&all, nacre_buffer_span(&keeping->descriptors));
	keep_admission(admission, &all);
	nacre_put_span(&all, nacre_buffer_span(&keeping->strangers));
	if (keeping->descriptors.failed || keeping->strangers.failed || all.failed ||
	    nacre_process_memory_file("sshd-strangers", nacre_buffer_span(&all), &fd) != 0 ||
	    fcntl(fd, F_SETFD, 0) != 0)
		nacre_log(NACRE_LOG_ERROR, "Penalties and connections that are not logged in are "
					   "forgotten: cannot make a memory file");
	nacre_buffer_free(&all);
	return fd;
}

void
reload_keep(const struct listener *listener)
{
	const struct admission *admission = &listener->admission;
	struct keeping keeping = {0};
	char text[16];

	keep_queue(&admission->door, &keeping);
	keep_queue(&admission->speaking, &keeping);
	crowd_each(&admission->crowd, STRANGER_INSIDE, keep_stranger, &keeping);
	crowd_each(&admission->crowd, STRANGER_ASKED, keep_stranger, &keeping);
	snprintf(text, sizeof text, "%d", write_file(admission, &keeping));
	setenv(KEPT, text, 1);
	nacre_buffer_free(&keeping.descriptors);
	nacre_buffer_free(&keeping.strangers);
}

/* Coming back --------------------------------------------------------------------------------- */

/* What an address was before it was text; of no family when it was none. */
static struct sockaddr_storage
address_of(const char *text)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&address;
	char plain[INET6_ADDRSTRLEN];

	/* Without the interface of a link-local one. */
	snprintf(plain, sizeof plain, "%.*s", (int)strcspn(text, "%"), text);
	if (inet_pton(AF_INET, plain, &((struct sockaddr_in *)&address)->sin_addr) == 1)
		address.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, plain, &six->sin6_addr) == 1)
		address.ss_family = AF_INET6;
	return address;
}

static void
take_text(struct nacre_reader *kept, char *text, size_t room)
{
	struct nacre_span span = nacre_get_string(kept);

	snprintf(text, room, "%.*s", (int)span.length, (const char *)span.data);
}

static int
take_stranger(struct listener *listener, int fd, struct nacre_reader *kept)
{
	struct stranger stranger = {.watched = WATCHED_STRANGER, .fd = fd};

	stranger.class = (enum stranger_class)nacre_get_byte(kept);
	stranger.doomed = nacre_get_boolean(kept);
	stranger.by_proxy = nacre_get_boolean(kept);
	stranger.since = nacre_get_u64(kept);
	stranger.worker = (pid_t)nacre_get_u32(kept);
	take_text(kept, stranger.peer.address, sizeof stranger.peer.address);
	stranger.peer.port = (int)nacre_get_u32(kept);
	take_text(kept, stranger.peer.local_address, sizeof stranger.peer.local_address);
	stranger.peer.local_port = (int)nacre_get_u32(kept);
	const struct sockaddr_storage address = address_of(stranger.peer.address);
	if (kept->failed || stranger.class >= STRANGER_CLASSES)
		return NACRE_ERROR_FORMAT;
	return admission_take_over(listener, &stranger, &address);
}

/* The memory file, when there is one. */
static int
read_file(struct nacre_buffer *file)
{
	const char *text = getenv(KEPT);
	int fd = text != NULL ? (int)strtol(text, NULL, 10) : -1;

	unsetenv(KEPT);
	if (fd <= STDERR_FILENO)
		return NACRE_ERROR_NOT_FOUND;
	int error = nacre_process_read_file(fd, FILE_MOST, file);
	close(fd);
	return error;
}

size_t
reload_find(struct reloaded *reloaded)
{
	struct nacre_reader descriptors;

	*reloaded = (struct reloaded){0};
	if (read_file(&reloaded->file) != 0)
		return 0;
	reloaded->rest = nacre_reader_of(nacre_buffer_span(&reloaded->file));
	size_t count = nacre_get_u32(&reloaded->rest);
	reloaded->descriptors = nacre_get_bytes(&reloaded->rest, sizeof(uint32_t) * count);
	descriptors = nacre_reader_of(reloaded->descriptors);
	while (descriptors.length > 0)
		fcntl((int)nacre_get_u32(&descriptors), F_SETFD, FD_CLOEXEC);
	return reloaded->descriptors.length / sizeof(uint32_t);
}

static void
take_admission(struct admission *admission, struct nacre_reader *kept)
{
	admission->throttling = nacre_get_boolean(kept);
	admission->throttled_until = nacre_get_u64(kept);
	admission->dropped = (unsigned long)nacre_get_u64(kept);
	admission->noise_until = nacre_get_u64(kept);
	sources_take_over(admission->sources, kept, nacre_clock_ms());
}

void
reload_take_over(struct listener *listener, struct reloaded *reloaded)
{
	struct nacre_reader descriptors = nacre_reader_of(reloaded->descriptors);
	struct nacre_reader *kept = &reloaded->rest;
	bool known = nacre_span_equals(nacre_get_string(kept), FORM);

	if (known)
		take_admission(&listener->admission, kept);
	while (descriptors.length > 0) {
		int fd = (int)nacre_get_u32(&descriptors);
		if (!known || take_stranger(listener, fd, kept) != 0)
			close(fd);
	}
	nacre_buffer_free(&reloaded->file);
}
