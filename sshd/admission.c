/*
 * Who may come in, and who has to make room: MaxStartups, PerSourceMaxStartups, PerSourcePenalties.
 *
 * Below MaxStartups' "begin" a connection gets a worker at once. Past it, it waits at the door,
 * where it costs nothing but a descriptor, until it begins to speak as an SSH client does. Silence
 * is what "rate" and "full" act on: whoever they would have dropped is dropped when it has said
 * nothing for a while. Whoever speaks comes in, first the last one of the source that has fewest; if
 * it is full, the stranger who has been inside longest without trying to authenticate makes room,
 * from the source that has most of these. So neither silence nor garbage keeps anybody out.
 */
#include "listener.h"
#include "metrics.h"

#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/pattern.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DOOR_MOST           256  /* strangers */
#define DOOR_MS             1000 /* in which a client begins to speak, wherever it is */
#define SPEAKING_MS         2500 /* in which it is let in then, or never */
#define SPARED_MS           1500 /* that a stranger has for itself before it may have to make room */
#define PACE_MS             5    /* between workers for those at the door */
#define MAKE_ROOM_MS        20   /* the same when somebody has to go for it */
#define SILENT_PACE_MS      100  /* the same for one that has not spoken */
#define NOISE_MOST_MS       4000
#define AFTERMATH_MS        10000
#define SHORTEST_HELLO      10 /* bytes of the shortest identification, "SSH-2.0-x\n" */
#define CLIENT_PREFIX       "SSH-"
#define PROXY_PREFIX_TEXT   "PROX"
#define PROXY_PREFIX_BINARY "\r\n\r\n"
#define TEXT_FULL           "Exceeded MaxStartups\r\n"
#define TEXT_REFUSED        "Not allowed at this time\r\n"
#define PAST_MAXSTARTUP     "past MaxStartups"

static size_t
inside(const struct admission *admission)
{
	return admission->crowd.counts[STRANGER_INSIDE] + admission->crowd.counts[STRANGER_ASKED];
}

static size_t
at_door(const struct admission *admission)
{
	return admission->crowd.counts[STRANGER_SILENT] + admission->crowd.counts[STRANGER_SPEAKS];
}

int
admission_init(struct listener *listener)
{
	struct admission *admission = &listener->admission;
	size_t room = (size_t)listener->server->config->max_startups_full;
	struct reloaded reloaded;

	/* There may be more than would be let in today. */
	size_t there = reload_find(&reloaded);
	if (room < there)
		room = there;
	if (room < DOOR_MOST)
		room = DOOR_MOST;
	link_init(&admission->door);
	link_init(&admission->speaking);
	int error = sources_new(listener->server->config, &admission->sources);
	if (error == 0)
		error = crowd_init(&admission->crowd, room);
	if (error == 0)
		reload_take_over(listener, &reloaded);
	return error;
}

int
admission_take_over(
    struct listener *listener, const struct stranger *kept, const struct sockaddr_storage *address)
{
	struct admission *admission = &listener->admission;
	struct source *source = sources_find(admission->sources, address);
	struct stranger *stranger = source != NULL ? malloc(sizeof *stranger) : NULL;
	bool waits = kept->class == STRANGER_SPEAKS; /* for its turn, not for what it does */

	if (stranger == NULL || nacre_poller_set(listener->poller, kept->fd,
				    waits ? 0 : NACRE_POLL_READ, stranger) != 0) {
		if (source != NULL)
			sources_drop(admission->sources, source);
		free(stranger);
		return NACRE_ERROR_SYSTEM;
	}
	*stranger = *kept;
	stranger->source = source;
	stranger->shares = source->shares;
	link_init(&stranger->arrival);
	link_init(&stranger->share);
	crowd_add(&admission->crowd, stranger, kept->class);
	if (kept->class == STRANGER_SILENT)
		link_append(&admission->door, &stranger->arrival);
	if (waits)
		link_append(&admission->speaking, &stranger->arrival);
	admission->hopeful += kept->class == STRANGER_SILENT && !kept->doomed;
	return 0;
}

/* Leaving ------------------------------------------------------------------------------------ */

static void
log_drop(const struct listener *listener, const struct stranger *stranger, const char *why)
{
	const struct peer *peer = &stranger->peer;

	nacre_log(NACRE_LOG_INFO, "drop connection #%zu from [%s]:%d on [%s]:%d %s",
	    inside(&listener->admission), peer->address, peer->port, peer->local_address,
	    peer->local_port, why);
}

/* Takes a stranger out of everything; its descriptor, if still open, is closed. */
static void
forget(struct listener *listener, struct stranger *stranger)
{
	struct admission *admission = &listener->admission;

	(void)nacre_poller_set(listener->poller, stranger->fd, 0, NULL);
	close(stranger->fd);
	crowd_remove(&admission->crowd, stranger);
	link_remove(&stranger->arrival);
	if (stranger->class == STRANGER_SILENT && !stranger->doomed)
		admission->hopeful--;
	sources_drop(admission->sources, stranger->source);
	stranger->gone = true;
	stranger->next_gone = admission->gone;
	admission->gone = stranger;
}

static void
free_gone(struct admission *admission)
{
	for (struct stranger *next, *gone = admission->gone; gone != NULL; gone = next) {
		next = gone->next_gone;
		free(gone);
	}
	admission->gone = NULL;
}

static void
say(int fd, const char *text)
{
	(void)send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
drop_at_door(struct listener *listener, struct stranger *stranger)
{
	log_drop(listener, stranger, PAST_MAXSTARTUP);
	say(stranger->fd, TEXT_FULL);
	metrics_count_outcome(DROP_STARTUPS);
	listener->admission.dropped++;
	forget(listener, stranger);
}

bool
admission_make_room(struct listener *listener)
{
	const struct crowd *crowd = &listener->admission.crowd;
	struct stranger *spared = crowd_spared(crowd, STRANGER_SILENT);

	if (spared == NULL)
		spared = crowd_spared(crowd, STRANGER_SPEAKS);
	if (spared != NULL)
		drop_at_door(listener, spared);
	return spared != NULL;
}

/* Penalties ---------------------------------------------------------------------------------- */

static bool
exempt(const struct listener *listener, const char *address)
{
	const char *list = listener->server->config->per_source_penalty_exempt_list;

	return list != NULL &&
	       nacre_address_list_strict(address, nacre_span_of(list)) == NACRE_MATCH_FOUND;
}

static void
log_penalty(const struct listener *listener, const struct source *source,
    enum penalty_change change, unsigned seconds)
{
	const char *family = source->family == 6 ? "ipv6" : "ipv4";
	const char *reason = penalty_text(source->penalty_for);
	char text[64];

	source_text(listener->admission.sources, source, text, sizeof text);
	if (change == PENALTY_NEW)
		nacre_log(NACRE_LOG_VERBOSE,
		    "srclimit_penalise: %s: new %s %s penalty of %u seconds for %s", family, text,
		    source->penalty_active ? "active" : "deferred", seconds, reason);
	else if (change == PENALTY_ACTIVATED)
		nacre_log(NACRE_LOG_VERBOSE,
		    "srclimit_penalise: %s: activating %s penalty of %u seconds for %s", text,
		    family, seconds, reason);
	else if (change == PENALTY_ADDED)
		nacre_log(NACRE_LOG_DEBUG1,
		    "srclimit_penalise: %s penalty for %s %s already exists, %u seconds remaining",
		    source->penalty_active ? "active" : "inactive", family, text, seconds);
}

/* Several that were no SSH clients in a short time: for a while nobody gets a worker unheard. */
static bool
noisy(const struct admission *admission)
{
	return admission->noise_until > nacre_clock_ms() + NOISE_MOST_MS;
}

static void
count_noise(struct admission *admission, enum worker_outcome outcome)
{
	uint64_t now = nacre_clock_ms();

	if (outcome != OUTCOME_GARBAGE)
		return;
	if (admission->noise_until < now)
		admission->noise_until = now;
	if (admission->noise_until < now + AFTERMATH_MS)
		admission->noise_until += 1000;
}

/* In a flood what is no SSH client is turned away cheaply, and its address may be that of others. */
static bool
excused(const struct admission *admission, enum worker_outcome outcome)
{
	bool flood = admission->throttling || nacre_clock_ms() < admission->throttled_until;

	return (outcome == OUTCOME_SILENT && flood) ||
	       (outcome == OUTCOME_GARBAGE && (flood || noisy(admission)));
}

static void
penalise(struct listener *listener, const struct stranger *stranger, enum worker_outcome outcome)
{
	struct admission *admission = &listener->admission;
	struct source *source = stranger->source;
	unsigned seconds = 0;

	if (!stranger->by_proxy)
		count_noise(admission, outcome);
	/* A proxy is not punished for its clients, nor for seeing whether we are there. */
	if (stranger->by_proxy || excused(admission, outcome) ||
	    exempt(listener, stranger->peer.address))
		return;
	enum penalty_change change =
	    sources_penalise(admission->sources, source, outcome, nacre_clock_ms(), &seconds);
	if (change != PENALTY_NONE)
		metrics_count_penalty(outcome);
	log_penalty(listener, source, change, seconds);
}

/* Coming in ---------------------------------------------------------------------------------- */

/* From the descriptor of its connection to the control of its worker; it is in no class yet. */
static void
let_in(struct listener *listener, struct stranger *stranger)
{
	struct admission *admission = &listener->admission;
	int connection = stranger->fd;
	struct worker worker;

	bool started = listener_hand_over(listener, connection, &worker);
	close(connection);
	if (!started) {
		sources_drop(admission->sources, stranger->source);
		free(stranger);
		return;
	}
	stranger->fd = worker.control;
	stranger->worker = worker.pid;
	stranger->since = nacre_clock_ms();
	crowd_add(&admission->crowd, stranger, STRANGER_INSIDE);
	if (nacre_poller_set(listener->poller, stranger->fd, NACRE_POLL_READ, stranger) != 0)
		nacre_fatal("poller: %s", strerror(errno));
}

static void
let_in_from_door(struct listener *listener, struct stranger *stranger)
{
	struct admission *admission = &listener->admission;
	int at_once = 1;

	if (stranger->class == STRANGER_SILENT && !stranger->doomed)
		admission->hopeful--;
	(void)nacre_poller_set(listener->poller, stranger->fd, 0, NULL);
	setsockopt(stranger->fd, SOL_SOCKET, SO_RCVLOWAT, &at_once, sizeof at_once);
	crowd_remove(&admission->crowd, stranger);
	link_remove(&stranger->arrival);
	let_in(listener, stranger);
}

static bool
crowded(const struct listener *listener)
{
	return inside(&listener->admission) >= (size_t)listener->server->config->max_startups_begin;
}

/* MaxStartups: past "begin" a connection is dropped with a chance that grows to certainty at
 * "full". */
static bool
drop_by_chance(const struct listener *listener)
{
	const struct nacre_sshd_config *config = listener->server->config;
	int count = (int)(inside(&listener->admission) + listener->admission.hopeful);
	int begin = config->max_startups_begin, full = config->max_startups_full;
	uint32_t random;

	if (count < begin)
		return false;
	if (count >= full || config->max_startups_rate >= 100)
		return true;
	int chance = config->max_startups_rate +
		     (100 - config->max_startups_rate) * (count - begin) / (full - begin);
	nacre_random(&random, sizeof random);
	return (int)(random % 100) < chance;
}

static void
throttle(struct listener *listener)
{
	struct admission *admission = &listener->admission;

	if (!admission->throttling) {
		nacre_log(NACRE_LOG_ERROR, "beginning MaxStartups throttling");
		admission->throttling = true;
		admission->dropped = 0;
	}
}

static void
throttle_no_more(struct listener *listener)
{
	struct admission *admission = &listener->admission;
	size_t begin = (size_t)listener->server->config->max_startups_begin;

	if (!admission->throttling || inside(admission) + at_door(admission) >= begin)
		return;
	nacre_log(NACRE_LOG_INFO, "exited MaxStartups throttling, %lu connections dropped",
	    admission->dropped);
	admission->throttling = false;
	admission->throttled_until = nacre_clock_ms() + AFTERMATH_MS;
}

static void
wait_at_door(struct listener *listener, struct stranger *stranger)
{
	struct admission *admission = &listener->admission;
	int shortest = SHORTEST_HELLO;

	if (crowded(listener))
		throttle(listener);
	while (at_door(admission) >= DOOR_MOST)
		admission_make_room(listener);
	stranger->doomed = drop_by_chance(listener);
	admission->hopeful += !stranger->doomed;
	stranger->since = nacre_clock_ms();
	setsockopt(stranger->fd, SOL_SOCKET, SO_RCVLOWAT, &shortest, sizeof shortest);
	crowd_add(&admission->crowd, stranger, STRANGER_SILENT);
	link_append(&admission->door, &stranger->arrival);
	if (nacre_poller_set(listener->poller, stranger->fd, NACRE_POLL_READ, stranger) != 0)
		forget(listener, stranger);
}

/* Why a source gets nothing, or NULL, and what is said to the client. */
static const char *
refusal(const struct listener *listener, const struct stranger *stranger, const char **text)
{
	const struct admission *admission = &listener->admission;
	const struct source *source = stranger->source;
	enum source_state state = sources_judge(admission->sources, source, nacre_clock_ms());

	if (stranger->by_proxy)
		return NULL; /* judged when the client is known */
	*text = TEXT_REFUSED;
	if (state != SOURCE_GOOD && !exempt(listener, stranger->peer.address))
		return state == SOURCE_PENALISED ? penalty_text(source->penalty_for)
						 : "too many penalised addresses";
	*text = TEXT_FULL;
	if (source_inside(source) >= (size_t)listener->server->config->per_source_max_startups)
		return PAST_MAXSTARTUP;
	return NULL;
}

void
admission_accepted(struct listener *listener, int fd, const struct sockaddr_storage *address)
{
	struct admission *admission = &listener->admission;
	struct source *source = sources_find(admission->sources, address);
	struct stranger *stranger = calloc(1, sizeof *stranger);
	const char *text;

	if (source == NULL || stranger == NULL) {
		nacre_log(NACRE_LOG_ERROR, "out of memory: a connection is dropped");
		free(stranger);
		close(fd);
		return;
	}
	*stranger = (struct stranger){
	    .watched = WATCHED_STRANGER, .fd = fd, .source = source, .shares = source->shares};
	link_init(&stranger->arrival);
	link_init(&stranger->share);
	peer_of(fd, &stranger->peer);
	stranger->by_proxy = proxy_is_trusted(listener->server->config, stranger->peer.address);
	const char *why = refusal(listener, stranger, &text);
	if (why != NULL) {
		log_drop(listener, stranger, why);
		metrics_count_outcome(
		    strcmp(why, PAST_MAXSTARTUP) == 0 ? DROP_SOURCE : DROP_PENALTY);
		say(fd, text);
		close(fd);
		sources_drop(admission->sources, source);
		free(stranger);
	} else if (crowded(listener) || noisy(admission)) {
		wait_at_door(listener, stranger);
	} else {
		throttle_no_more(listener);
		let_in(listener, stranger);
	}
}

/* What strangers do -------------------------------------------------------------------------- */

/* The first bytes are looked at and left where they are. */
static bool
speaks(const struct stranger *stranger)
{
	char first[sizeof CLIENT_PREFIX - 1];

	if (recv(stranger->fd, first, sizeof first, MSG_PEEK | MSG_DONTWAIT) != sizeof first)
		return false;
	if (stranger->by_proxy)
		return memcmp(first, PROXY_PREFIX_TEXT, sizeof first) == 0 ||
		       memcmp(first, PROXY_PREFIX_BINARY, sizeof first) == 0;
	return memcmp(first, CLIENT_PREFIX, sizeof first) == 0;
}

/* From now on, behind all others that wait there. */
static void
wait_again(struct link *queue, struct stranger *stranger, uint64_t now)
{
	stranger->since = now;
	link_remove(&stranger->arrival);
	link_append(queue, &stranger->arrival);
}

static void
heard_at_door(struct listener *listener, struct stranger *stranger)
{
	struct admission *admission = &listener->admission;
	const struct peer *peer = &stranger->peer;
	int count = 0;

	if (ioctl(stranger->fd, FIONREAD, &count) == 0 && count >= SHORTEST_HELLO &&
	    speaks(stranger)) {
		/* It is known to be ready: nothing more is asked of it until its turn comes. */
		(void)nacre_poller_set(listener->poller, stranger->fd, 0, NULL);
		if (!stranger->doomed)
			admission->hopeful--;
		crowd_remove(&admission->crowd, stranger);
		crowd_add(&admission->crowd, stranger, STRANGER_SPEAKS);
		wait_again(&admission->speaking, stranger, nacre_clock_ms());
		return;
	}
	if (count >= SHORTEST_HELLO)
		nacre_log(NACRE_LOG_INFO,
		    "banner exchange: Connection from %s port %d: invalid format", peer->address,
		    peer->port);
	else
		nacre_log(
		    NACRE_LOG_INFO, "Connection closed by %s port %d", peer->address, peer->port);
	enum worker_outcome outcome = count >= SHORTEST_HELLO ? OUTCOME_GARBAGE : OUTCOME_SILENT;
	penalise(listener, stranger, outcome);
	metrics_count_outcome(outcome);
	forget(listener, stranger);
}

/* A proxy has named its client: from now on the stranger is that source's, and is judged as such. */
static void
named_by_proxy(
    struct listener *listener, struct stranger *stranger, const struct worker_report *report)
{
	struct admission *admission = &listener->admission;
	const struct sockaddr_storage address =
	    address_make(report->family, report->address, report->port);
	struct source *source = sources_find(admission->sources, &address);
	enum stranger_class class = stranger->class;
	struct source *before = stranger->source;
	const char *text;

	if (source == NULL)
		return;
	stranger->by_proxy = false;
	stranger->peer.port = address_describe(
	    &address, sizeof address, stranger->peer.address, sizeof stranger->peer.address);
	crowd_remove(&admission->crowd, stranger);
	stranger->source = source;
	stranger->shares = source->shares;
	const char *why = refusal(listener, stranger, &text);
	crowd_add(&admission->crowd, stranger, class);
	sources_drop(admission->sources, before);
	if (why == NULL)
		return;
	log_drop(listener, stranger, why);
	metrics_count_outcome(strcmp(why, PAST_MAXSTARTUP) == 0 ? DROP_SOURCE : DROP_PENALTY);
	kill(stranger->worker, SIGKILL);
	forget(listener, stranger);
}

static void
heard_from_worker(struct listener *listener, struct stranger *stranger)
{
	struct worker_report report;
	ssize_t count = recv(stranger->fd, &report, sizeof report, MSG_DONTWAIT);
	bool told = count == sizeof report;

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (told && report.event == WORKER_PROXIED) {
		named_by_proxy(listener, stranger, &report);
		return;
	}
	if (told && report.event == WORKER_ASKED) {
		crowd_remove(&listener->admission.crowd, stranger);
		crowd_add(&listener->admission.crowd, stranger, STRANGER_ASKED);
		return;
	}
	enum worker_outcome outcome = told ? (enum worker_outcome)report.outcome : OUTCOME_CRASHED;
	if (!told || report.event == WORKER_ENDED)
		penalise(listener, stranger, outcome);
	metrics_count_outcome(outcome);
	forget(listener, stranger);
	throttle_no_more(listener);
	listener_prepare_soon(listener);
}

void
admission_ready(struct listener *listener, struct stranger *stranger)
{
	if (stranger->gone)
		return;
	if (stranger->class == STRANGER_SILENT)
		heard_at_door(listener, stranger);
	else if (stranger->class != STRANGER_SPEAKS)
		heard_from_worker(listener, stranger);
}

/* What is due -------------------------------------------------------------------------------- */

/* Somebody inside makes room. What its worker has to say comes first, and may be enough. */
static bool
make_room_inside(struct listener *listener)
{
	const struct crowd *crowd = &listener->admission.crowd;
	struct stranger *spared = crowd_spared(crowd, STRANGER_INSIDE);
	char byte;

	if (spared == NULL)
		spared = crowd_spared(crowd, STRANGER_ASKED);
	if (spared == NULL || nacre_clock_ms() < spared->since + SPARED_MS)
		return false;
	if (recv(spared->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) {
		heard_from_worker(listener, spared);
		return false;
	}
	log_drop(listener, spared, PAST_MAXSTARTUP);
	metrics_count_outcome(DROP_STARTUPS);
	listener->admission.dropped++;
	/* It holds its end of the control: it has not ended, and the number is its own. */
	kill(spared->worker, SIGKILL);
	forget(listener, spared);
	return true;
}

/* One at a time and at a pace, so that a flood does not take all the processor's time. */
static void
let_in_who_speaks(struct listener *listener, uint64_t now)
{
	struct admission *admission = &listener->admission;
	struct stranger *first = crowd_preferred(&admission->crowd, STRANGER_SPEAKS);
	size_t full = (size_t)listener->server->config->max_startups_full;
	bool make_room = inside(admission) >= full;

	if (first == NULL || now < admission->next_start)
		return;
	admission->next_start = now + (make_room ? MAKE_ROOM_MS : PACE_MS);
	if (!make_room || make_room_inside(listener))
		let_in_from_door(listener, first);
}

/* It may come in although it has not spoken, but there is no hurry: it waits at the end again. */
static void
let_in_or_wait(struct listener *listener, struct stranger *stranger, uint64_t now)
{
	struct admission *admission = &listener->admission;
	size_t full = (size_t)listener->server->config->max_startups_full;

	if (now >= admission->next_silent && inside(admission) < full) {
		admission->next_silent = now + SILENT_PACE_MS;
		let_in_from_door(listener, stranger);
		return;
	}
	wait_again(&admission->door, stranger, now);
}

static void
end_waits(struct listener *listener, uint64_t now)
{
	const struct link *door = &listener->admission.door;
	const struct link *speaking = &listener->admission.speaking;

	while (!link_empty(door)) {
		struct stranger *oldest = LINKED(struct stranger, arrival, door->next);
		if (now < oldest->since + DOOR_MS)
			break;
		if (oldest->doomed)
			drop_at_door(listener, oldest);
		else
			let_in_or_wait(listener, oldest, now);
	}
	while (!link_empty(speaking)) {
		struct stranger *oldest = LINKED(struct stranger, arrival, speaking->next);
		if (now < oldest->since + SPEAKING_MS)
			break;
		drop_at_door(listener, oldest);
	}
}

void
admission_tick(struct listener *listener)
{
	let_in_who_speaks(listener, nacre_clock_ms());
	end_waits(listener, nacre_clock_ms());
	free_gone(&listener->admission);
	metrics_set_startups(inside(&listener->admission) + at_door(&listener->admission));
}

uint64_t
admission_deadline(const struct listener *listener)
{
	const struct admission *admission = &listener->admission;

	if (admission->crowd.counts[STRANGER_SPEAKS] > 0)
		return admission->next_start;
	if (link_empty(&admission->door))
		return UINT64_MAX;
	return LINKED(struct stranger, arrival, admission->door.next)->since + DOOR_MS;
}
