/* Looking up host names on threads: see nacre/resolver.h. */
#include <nacre/resolver.h>

#include <nacre/log.h>

#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS_MOST 8
#define STACK_BYTES  ((size_t)512 * 1024)

struct question {
	struct question *next;
	char *host;
	char service[16];
	struct addrinfo hints;
	nacre_resolver_done *done;
	void *context;
	/* The answer. */
	int error;
	struct addrinfo *list;
};

struct queue {
	struct question *first, **end;
};

struct nacre_resolver {
	int family;
	int wake;             /* readable when answers are there */
	pthread_mutex_t lock; /* of what follows */
	struct queue asked, answered;
	unsigned threads;
};

static void
queue_put(struct queue *queue, struct question *question)
{
	question->next = NULL;
	*queue->end = question;
	queue->end = &question->next;
}

static struct question *
queue_take(struct queue *queue)
{
	struct question *question = queue->first;

	if (question == NULL)
		return NULL;
	queue->first = question->next;
	if (queue->first == NULL)
		queue->end = &queue->first;
	return question;
}

static void *
thread_run(void *argument)
{
	struct nacre_resolver *resolver = argument;
	struct question *question;

	pthread_mutex_lock(&resolver->lock);
	while ((question = queue_take(&resolver->asked)) != NULL) {
		const uint64_t one = 1;
		pthread_mutex_unlock(&resolver->lock);
		question->error = getaddrinfo(
		    question->host, question->service, &question->hints, &question->list);
		pthread_mutex_lock(&resolver->lock);
		queue_put(&resolver->answered, question);
		(void)!write(resolver->wake, &one, sizeof one);
	}
	resolver->threads--;
	pthread_mutex_unlock(&resolver->lock);
	return NULL;
}

static bool
thread_start(struct nacre_resolver *resolver)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	bool good = pthread_create(&thread, &attributes, thread_run, resolver) == 0;
	pthread_attr_destroy(&attributes);
	return good;
}

static void
question_free(struct question *question)
{
	free(question->host);
	free(question);
}

void
nacre_resolver_ready(struct nacre_resolver *resolver)
{
	struct question *question;
	uint64_t count;

	(void)!read(resolver->wake, &count, sizeof count);
	pthread_mutex_lock(&resolver->lock);
	while ((question = queue_take(&resolver->answered)) != NULL) {
		pthread_mutex_unlock(&resolver->lock);
		question->done(question->context, question->error, question->list);
		question_free(question);
		pthread_mutex_lock(&resolver->lock);
	}
	pthread_mutex_unlock(&resolver->lock);
}

struct nacre_resolver *
nacre_resolver_new(int family)
{
	struct nacre_resolver *resolver = calloc(1, sizeof *resolver);

	if (resolver == NULL)
		return NULL;
	resolver->family = family;
	resolver->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (resolver->wake < 0) {
		free(resolver);
		return NULL;
	}
	pthread_mutex_init(&resolver->lock, NULL);
	resolver->asked.end = &resolver->asked.first;
	resolver->answered.end = &resolver->answered.first;
	return resolver;
}

int
nacre_resolver_fd(const struct nacre_resolver *resolver)
{
	return resolver->wake;
}

/* False when no thread is there to look it up: "question" is still the caller's. */
static bool
ask(struct nacre_resolver *resolver, struct question *question)
{
	pthread_mutex_lock(&resolver->lock);
	bool start = resolver->threads < THREADS_MOST;
	if (start && thread_start(resolver))
		resolver->threads++;
	bool good = resolver->threads > 0;
	if (good)
		queue_put(&resolver->asked, question);
	pthread_mutex_unlock(&resolver->lock);
	return good;
}

static struct question *
question_new(const char *host, const char *service, const struct addrinfo *hints)
{
	struct question *question = calloc(1, sizeof *question);

	if (question == NULL || (question->host = strdup(host)) == NULL)
		nacre_fatal("out of memory");
	snprintf(question->service, sizeof question->service, "%s", service);
	question->hints = *hints;
	return question;
}

void
nacre_resolver_ask(struct nacre_resolver *resolver, const char *host, unsigned port, bool passive,
    nacre_resolver_done *done, void *context)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
	    .ai_family = resolver->family,
	    .ai_flags = AI_NUMERICHOST | (passive ? AI_PASSIVE : 0)};
	struct addrinfo *list = NULL;
	char service[16];

	snprintf(service, sizeof service, "%u", port);
	int error = getaddrinfo(host, service, &hints, &list);
	if (host == NULL || error != EAI_NONAME) {
		done(context, error, list);
		return;
	}
	hints.ai_flags &= ~AI_NUMERICHOST;
	struct question *question = question_new(host, service, &hints);
	question->done = done;
	question->context = context;
	if (!ask(resolver, question)) {
		question_free(question);
		done(context, EAI_AGAIN, NULL);
	}
}
