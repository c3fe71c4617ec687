/*
 * The SFTP server on a thread of its own. Whole buffers change hands under one lock: the caller
 * fills "incoming", the thread swaps it for an empty one; the thread swaps its replies for the
 * empty "outgoing". No descriptor but an eventfd that wakes the caller's loop.
 */
#include <sftp/server.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define INCOMING_BOUND ((size_t)1024 * 1024)
/* Replies are handed over in pieces of about this size, so that they are encrypted while the next
 * are read. */
#define REPLY_STEP ((size_t)128 * 1024)

struct nacre_sftp_thread {
	struct nacre_sftp_server *server; /* the thread's */
	struct nacre_buffer work;         /* the thread's */
	int event;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* for the thread */
	/* Under the lock: */
	struct nacre_buffer incoming, outgoing;
	bool end_of_input, stop, finished;
	int error;
};

static void
wake_caller(struct nacre_sftp_thread *thread)
{
	uint64_t one = 1;

	/* It fails only when the counter is full, and then the caller is awake. */
	if (write(thread->event, &one, sizeof one) < 0)
		return;
}

static void
swap_buffers(struct nacre_buffer *a, struct nacre_buffer *b)
{
	struct nacre_buffer kept = *a;

	*a = *b;
	*b = kept;
}

/* Hands replies over when the last ones were taken. Under the lock. */
static void
deliver(struct nacre_sftp_thread *thread)
{
	struct nacre_buffer *replies = &thread->server->output;

	if (nacre_buffer_length(replies) == 0 || nacre_buffer_length(&thread->outgoing) > 0)
		return;
	swap_buffers(replies, &thread->outgoing);
	wake_caller(thread);
}

static bool
has_work(const struct nacre_sftp_thread *thread)
{
	return (nacre_buffer_length(&thread->work) > 0 ||
		   nacre_buffer_length(&thread->incoming) > 0) &&
	       nacre_buffer_length(&thread->server->output) < REPLY_STEP;
}

static bool
is_through(const struct nacre_sftp_thread *thread)
{
	return thread->end_of_input && nacre_buffer_length(&thread->work) == 0 &&
	       nacre_buffer_length(&thread->incoming) == 0 &&
	       nacre_buffer_length(&thread->server->output) == 0;
}

/* Waits until there is something to do; false when all is done. */
static bool
await_work(struct nacre_sftp_thread *thread)
{
	bool going = true;

	pthread_mutex_lock(&thread->lock);
	for (;;) {
		deliver(thread);
		if (thread->stop || is_through(thread)) {
			going = false;
			break;
		}
		if (has_work(thread))
			break;
		pthread_cond_wait(&thread->changed, &thread->lock);
	}
	if (going && nacre_buffer_length(&thread->work) == 0) {
		swap_buffers(&thread->work, &thread->incoming);
		wake_caller(thread);
	}
	pthread_mutex_unlock(&thread->lock);
	return going;
}

static void
finish(struct nacre_sftp_thread *thread, int error)
{
	pthread_mutex_lock(&thread->lock);
	/* Replies that were made before an error still go out. */
	while (!thread->stop && nacre_buffer_length(&thread->server->output) > 0) {
		deliver(thread);
		if (nacre_buffer_length(&thread->server->output) > 0)
			pthread_cond_wait(&thread->changed, &thread->lock);
	}
	thread->error = error;
	thread->finished = true;
	wake_caller(thread);
	pthread_mutex_unlock(&thread->lock);
}

static void *
thread_main(void *context)
{
	struct nacre_sftp_thread *thread = context;
	ssize_t used = 0;

	while (used >= 0 && await_work(thread)) {
		used = nacre_sftp_server_input(thread->server, nacre_buffer_span(&thread->work));
		if (used > 0)
			nacre_buffer_consume(&thread->work, (size_t)used);
	}
	finish(thread, used < 0 ? (int)used : 0);
	return NULL;
}

/* Signals are the main thread's business. */
static int
start(struct nacre_sftp_thread *thread)
{
	sigset_t all, before;
	int result;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&thread->thread, NULL, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = result;
	return result == 0 ? 0 : NACRE_ERROR_SYSTEM;
}

static void
thread_free(struct nacre_sftp_thread *thread)
{
	nacre_sftp_server_free(thread->server);
	nacre_buffer_free(&thread->work);
	nacre_buffer_free(&thread->incoming);
	nacre_buffer_free(&thread->outgoing);
	pthread_mutex_destroy(&thread->lock);
	pthread_cond_destroy(&thread->changed);
	if (thread->event >= 0)
		close(thread->event);
	free(thread);
}

int
nacre_sftp_thread_start(
    const struct nacre_sftp_server_options *options, struct nacre_sftp_thread **thread_out)
{
	struct nacre_sftp_thread *thread = calloc(1, sizeof *thread);
	int result;

	*thread_out = NULL;
	if (thread == NULL)
		return NACRE_ERROR_MEMORY;
	pthread_mutex_init(&thread->lock, NULL);
	pthread_cond_init(&thread->changed, NULL);
	thread->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	result = thread->event < 0 ? NACRE_ERROR_SYSTEM
				   : nacre_sftp_server_new(options, &thread->server);
	if (result == 0) {
		thread->server->output_bound = REPLY_STEP;
		result = start(thread);
	}
	if (result != 0) {
		thread_free(thread);
		return result;
	}
	*thread_out = thread;
	return 0;
}

int
nacre_sftp_thread_fd(const struct nacre_sftp_thread *thread)
{
	return thread->event;
}

void
nacre_sftp_thread_acknowledge(struct nacre_sftp_thread *thread)
{
	uint64_t count;

	/* Nothing to read means nothing new. */
	if (read(thread->event, &count, sizeof count) < 0)
		return;
}

size_t
nacre_sftp_thread_input(struct nacre_sftp_thread *thread, struct nacre_span bytes)
{
	size_t held, length;

	pthread_mutex_lock(&thread->lock);
	held = nacre_buffer_length(&thread->incoming);
	length = thread->finished ? bytes.length : INCOMING_BOUND - held;
	if (length > bytes.length)
		length = bytes.length;
	if (!thread->finished)
		nacre_put_bytes(&thread->incoming, bytes.data, length);
	if (thread->incoming.failed) {
		thread->incoming.failed = false;
		length = 0;
	}
	if (length > 0)
		pthread_cond_signal(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
	return length;
}

void
nacre_sftp_thread_end_input(struct nacre_sftp_thread *thread)
{
	pthread_mutex_lock(&thread->lock);
	thread->end_of_input = true;
	pthread_cond_signal(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
}

size_t
nacre_sftp_thread_output(struct nacre_sftp_thread *thread, uint8_t *room, size_t length)
{
	struct nacre_span replies;

	pthread_mutex_lock(&thread->lock);
	replies = nacre_buffer_span(&thread->outgoing);
	if (length > replies.length)
		length = replies.length;
	if (length > 0)
		memcpy(room, replies.data, length);
	nacre_buffer_consume(&thread->outgoing, length);
	if (length > 0 && length == replies.length)
		pthread_cond_signal(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
	return length;
}

bool
nacre_sftp_thread_finished(struct nacre_sftp_thread *thread, int *error)
{
	bool finished;

	pthread_mutex_lock(&thread->lock);
	finished = thread->finished && nacre_buffer_length(&thread->outgoing) == 0;
	*error = thread->error;
	pthread_mutex_unlock(&thread->lock);
	return finished;
}

void
nacre_sftp_thread_stop(struct nacre_sftp_thread *thread)
{
	if (thread == NULL)
		return;
	pthread_mutex_lock(&thread->lock);
	thread->stop = true;
	pthread_cond_signal(&thread->changed);
	pthread_mutex_unlock(&thread->lock);
	pthread_join(thread->thread, NULL);
	thread_free(thread);
}
