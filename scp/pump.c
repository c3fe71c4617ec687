/* The loop of a transfer: bytes between it and the links, and what it tells the person. */
#include <scp/scp.h>

#include <nacre/poller.h>

#define PATIENCE 1500 /* ms for the answers to what is given up */

void
pump_show_events(struct pump *pump, struct nacre_transfer *transfer)
{
	struct nacre_transfer_event event;

	while (nacre_transfer_next_event(transfer, &event)) {
		if (event.kind == NACRE_TRANSFER_ERROR)
			complain("%s", event.text);
		else if (event.kind == NACRE_TRANSFER_DONE && event.ok)
			meter_finish(pump->meter, event.text, event.size, event.copied);
		else if (event.kind == NACRE_TRANSFER_BEGUN && pump->metered == 0) {
			meter_start(pump->meter, event.text, event.size);
			pump->metered = event.file;
		} else if (event.kind == NACRE_TRANSFER_DIRECTORY && pump->directory != NULL)
			say("%s %s\n", pump->directory, event.text);
		if (event.kind == NACRE_TRANSFER_DONE && event.file == pump->metered)
			pump->metered = 0;
	}
}

static void
show_progress(struct pump *pump, struct nacre_transfer *transfer)
{
	struct nacre_transfer_progress progress;

	if (pump->meter == NULL)
		return;
	nacre_transfer_progress(transfer, &progress);
	if (progress.file != 0 && progress.file == pump->metered)
		meter_update(pump->meter, progress.file_copied);
}

static void
send_side(struct nacre_transfer *transfer, enum nacre_transfer_side side, struct link *link)
{
	for (;;) {
		size_t length, used;
		uint8_t *room = link_room(link, &length);

		if (room == NULL)
			break;
		used = nacre_transfer_output(transfer, side, room, length, nacre_clock_ms());
		link_commit(link, used);
		if (used == 0)
			break;
		if (length <= 65536)
			continue;
		break;
	}
	link_flush(link);
}

/* False when the connection is gone and the transfer is not through. */
static bool
receive_side(struct nacre_transfer *transfer, enum nacre_transfer_side side, struct link *link)
{
	struct nacre_span data;

	while (link_data(link, &data)) {
		size_t length = data.length;

		if (nacre_transfer_receive(transfer, side, data, nacre_clock_ms()) != 0)
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

/* The main loop. */
void
pump_run(struct pump *pump, struct nacre_transfer *transfer)
{
	struct link *links[2];
	enum nacre_transfer_side sides[2];
	bool wants[2];
	size_t count = 0;
	uint64_t given_up = UINT64_MAX;

	if (pump->source != NULL) {
		links[count] = pump->source;
		sides[count++] = NACRE_TRANSFER_SOURCE;
	}
	if (pump->target != NULL) {
		links[count] = pump->target;
		sides[count++] = NACRE_TRANSFER_TARGET;
	}
	while (!pump->lost && nacre_clock_ms() < given_up) {
		if (pump->interrupted != NULL && *pump->interrupted != 0 &&
		    given_up == UINT64_MAX) {
			nacre_transfer_cancel(transfer);
			given_up = nacre_clock_ms() + PATIENCE;
		}
		for (size_t i = 0; i < count; i++)
			send_side(transfer, sides[i], links[i]);
		pump_show_events(pump, transfer);
		show_progress(pump, transfer);
		if (nacre_transfer_finished(transfer))
			break;
		for (size_t i = 0; i < count; i++)
			wants[i] = nacre_transfer_wants_input(transfer, sides[i]);
		link_wait(links, wants, count,
		    given_up == UINT64_MAX ? wait_time(pump, transfer) : PATIENCE / 10);
		for (size_t i = 0; i < count && !pump->lost; i++) {
			pump->lost = !receive_side(transfer, sides[i], links[i]);
			if (pump->lost)
				complain("Connection closed");
		}
	}
	pump_show_events(pump, transfer);
}
