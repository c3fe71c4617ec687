/* The loop of a transfer: bytes between it and the links, and what it tells the person. */
#include <scp/scp.h>

#include <nacre/poller.h>

#define PATIENCE 1500 /* ms for the answers to what is given up */

/* Lanes, of which each has a link at one side or at both. */
#define LINKS_MAX (2 * JOBS_MAX)

struct line {
	struct link *link;
	enum nacre_transfer_side side;
	size_t lane;
};

static void
show_file(struct pump *pump, const struct nacre_transfer_event *event)
{
	const bool done = event->kind == NACRE_TRANSFER_DONE;

	if (done && !event->ok && pump->accounts && pump->interrupted != NULL &&
	    *pump->interrupted != 0)
		complain("%s: not complete", event->text);
	if (pump->whole)
		return;
	if (done && event->ok)
		meter_finish(pump->meter, event->text, event->size, event->copied);
	if (!done && pump->metered == 0) {
		meter_start(pump->meter, event->text, event->size);
		pump->metered = event->file;
	}
	if (done && event->file == pump->metered)
		pump->metered = 0;
}

void
pump_show_events(struct pump *pump, struct nacre_transfer *transfer)
{
	struct nacre_transfer_event event;

	while (nacre_transfer_next_event(transfer, &event)) {
		if (event.kind == NACRE_TRANSFER_ERROR)
			complain("%s", event.text);
		else if (event.kind == NACRE_TRANSFER_DONE || event.kind == NACRE_TRANSFER_BEGUN)
			show_file(pump, &event);
		else if (event.kind == NACRE_TRANSFER_DIRECTORY && pump->directory != NULL)
			say("%s %s\n", pump->directory, event.text);
		else if (event.kind == NACRE_TRANSFER_PLAN)
			say("%s\n", event.text);
	}
}

static void
show_progress(struct pump *pump, struct nacre_transfer *transfer, bool finished)
{
	struct nacre_transfer_progress progress;

	if (pump->meter == NULL)
		return;
	nacre_transfer_progress(transfer, &progress);
	if (pump->whole)
		meter_show_tree(pump->meter, &progress, finished);
	else if (progress.file != 0 && progress.file == pump->metered)
		meter_update(pump->meter, progress.file_copied);
}

/* True when there was something to send. */
static bool
send_line(struct nacre_transfer *transfer, const struct line *line)
{
	struct link *link = line->link;
	bool sent = false;

	for (;;) {
		size_t length, used;
		uint8_t *room = link_room(link, &length);

		if (room == NULL)
			break;
		used = nacre_transfer_output(
		    transfer, line->lane, line->side, room, length, nacre_clock_ms());
		link_commit(link, used);
		if (used == 0)
			break;
		sent = true;
		if (length <= 65536)
			continue;
		break;
	}
	link_flush(link);
	return sent;
}

/* What one line sends may give another something to send. */
static void
send_lines(struct nacre_transfer *transfer, const struct line *lines, size_t count)
{
	bool sent;

	do {
		sent = false;
		for (size_t i = 0; i < count; i++)
			sent |= send_line(transfer, &lines[i]);
	} while (sent && count > 1);
}

/* False when the connection is gone and the transfer is not through. */
static bool
receive_line(struct nacre_transfer *transfer, const struct line *line)
{
	struct link *link = line->link;
	struct nacre_span data;

	while (link_data(link, &data)) {
		size_t length = data.length;

		if (nacre_transfer_receive(
			transfer, line->lane, line->side, data, nacre_clock_ms()) != 0)
			return true; /* an event says why */
		link_consumed(link, length);
	}
	return !link_ended(link) || nacre_transfer_finished(transfer);
}

static int64_t
wait_time(const struct pump *pump, const struct nacre_transfer *transfer)
{
	uint64_t deadline = nacre_transfer_deadline(transfer), now = nacre_clock_ms();

	if (deadline != UINT64_MAX)
		return deadline > now ? (int64_t)(deadline - now) : 0;
	return pump->meter != NULL ? 1000 : -1;
}

static size_t
gather_lines(const struct pump *pump, struct line *lines)
{
	size_t count = 0;

	for (size_t lane = 0; lane <= pump->more_count; lane++) {
		struct link *source = lane == 0 ? pump->source : pump->more_sources[lane - 1];
		struct link *target = lane == 0 ? pump->target : pump->more_targets[lane - 1];

		if (source != NULL)
			lines[count++] = (struct line){source, NACRE_TRANSFER_SOURCE, lane};
		if (target != NULL)
			lines[count++] = (struct line){target, NACRE_TRANSFER_TARGET, lane};
	}
	return count;
}

/* Waits for the links and takes what came; false when a connection is gone. */
static bool
wait_and_receive(
    struct nacre_transfer *transfer, const struct line *lines, size_t count, int64_t patience)
{
	struct link *links[LINKS_MAX];
	bool wants[LINKS_MAX];

	for (size_t i = 0; i < count; i++) {
		links[i] = lines[i].link;
		wants[i] = nacre_transfer_wants_input(transfer, lines[i].side);
	}
	link_wait(links, wants, count, patience);
	for (size_t i = 0; i < count; i++)
		if (!receive_line(transfer, &lines[i]))
			return false;
	return true;
}

/* The main loop. */
void
pump_run(struct pump *pump, struct nacre_transfer *transfer)
{
	struct line lines[LINKS_MAX];
	const size_t count = gather_lines(pump, lines);
	uint64_t given_up = UINT64_MAX;

	while (!pump->lost && nacre_clock_ms() < given_up) {
		if (pump->interrupted != NULL && *pump->interrupted != 0 &&
		    given_up == UINT64_MAX) {
			nacre_transfer_cancel(transfer);
			given_up = nacre_clock_ms() + PATIENCE;
		}
		send_lines(transfer, lines, count);
		pump_show_events(pump, transfer);
		show_progress(pump, transfer, false);
		if (nacre_transfer_finished(transfer))
			break;
		pump->lost = !wait_and_receive(transfer, lines, count,
		    given_up == UINT64_MAX ? wait_time(pump, transfer) : PATIENCE / 10);
		if (pump->lost)
			complain("Connection closed");
	}
	pump_show_events(pump, transfer);
	if (!pump->lost)
		show_progress(pump, transfer, true);
}
