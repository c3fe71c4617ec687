/* Copying by SFTP: connections for the operands, and bytes between them and the transfer. */
#include <scp/scp.h>

#include <nacre/poller.h>
#include <nacre/transfer.h>

#include <stdlib.h>
#include <string.h>

/* A connection with its SFTP end, kept while operands stay on its host. */
struct end {
	const struct location *location;
	struct link *link;
	struct nacre_sftp *sftp;
};

struct run {
	const struct options *options;
	struct end source, target;
	struct meter *meter;
	int status;       /* the worst */
	uint64_t metered; /* the file whose line is drawn */
};

static bool
end_open(const struct options *options, struct end *end, const struct location *location)
{
	end->location = location;
	end->link = options->sftp_server != NULL ? link_open_program(options->sftp_server)
						 : link_open(options, location, NULL);
	if (end->link == NULL)
		return false;
	if (nacre_sftp_new(&end->sftp) != 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	return true;
}

static void
end_close(struct end *end)
{
	nacre_sftp_free(end->sftp);
	if (end->link != NULL)
		link_close(end->link);
	*end = (struct end){0};
}

static void
show_events(struct run *run, struct nacre_transfer *transfer)
{
	struct nacre_transfer_event event;

	while (nacre_transfer_next_event(transfer, &event)) {
		if (event.kind == NACRE_TRANSFER_ERROR)
			complain("%s", event.text);
		else if (event.kind == NACRE_TRANSFER_DONE && event.ok)
			meter_finish(run->meter, event.text, event.size, event.copied);
		else if (event.kind == NACRE_TRANSFER_BEGUN && run->metered == 0) {
			meter_start(run->meter, event.text, event.size);
			run->metered = event.file;
		}
		if (event.kind == NACRE_TRANSFER_DONE && event.file == run->metered)
			run->metered = 0;
	}
}

static void
show_progress(struct run *run, struct nacre_transfer *transfer)
{
	struct nacre_transfer_progress progress;

	if (run->meter == NULL)
		return;
	nacre_transfer_progress(transfer, &progress);
	if (progress.file != 0 && progress.file == run->metered)
		meter_update(run->meter, progress.file_copied);
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
wait_time(const struct run *run, const struct nacre_transfer *transfer)
{
	uint64_t deadline = nacre_transfer_deadline(transfer), now = nacre_clock_ms();

	if (deadline != UINT64_MAX)
		return deadline > now ? (int64_t)(deadline - now) : 0;
	return run->meter != NULL ? 1000 : -1;
}

/* The main loop. */
static void
pump(struct run *run, struct nacre_transfer *transfer)
{
	struct link *links[2];
	enum nacre_transfer_side sides[2];
	bool wants[2];
	size_t count = 0;

	if (run->source.link != NULL) {
		links[count] = run->source.link;
		sides[count++] = NACRE_TRANSFER_SOURCE;
	}
	if (run->target.link != NULL) {
		links[count] = run->target.link;
		sides[count++] = NACRE_TRANSFER_TARGET;
	}
	for (;;) {
		for (size_t i = 0; i < count; i++)
			send_side(transfer, sides[i], links[i]);
		show_events(run, transfer);
		show_progress(run, transfer);
		if (nacre_transfer_finished(transfer))
			return;
		for (size_t i = 0; i < count; i++)
			wants[i] = nacre_transfer_wants_input(transfer, sides[i]);
		link_wait(links, wants, count, wait_time(run, transfer));
		for (size_t i = 0; i < count; i++) {
			if (receive_side(transfer, sides[i], links[i]))
				continue;
			complain("Connection closed");
			run->status = 255;
			return;
		}
	}
}

static void
copy_group(
    struct run *run, struct location *sources, size_t count, const char *target, bool to_directory)
{
	const struct nacre_transfer_options options = {
	    .source = run->source.sftp,
	    .target = run->target.sftp,
	    .target_path = target,
	    .target_is_directory = to_directory,
	    .recursive = run->options->recursive,
	    .preserve = run->options->preserve,
	    .rate = run->options->rate,
	    .requests = run->options->requests,
	    .block = run->options->block,
	};
	struct nacre_transfer *transfer;

	if (nacre_transfer_new(&options, &transfer) != 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = 0; i < count; i++)
		if (nacre_transfer_add(transfer, sources[i].path) != 0)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	run->metered = 0;
	pump(run, transfer);
	show_events(run, transfer);
	if (nacre_transfer_status(transfer) > run->status)
		run->status = nacre_transfer_status(transfer);
	nacre_transfer_free(transfer);
}

static bool
open_source(struct run *run, const struct location *location)
{
	if (run->source.link != NULL && location->remote &&
	    location_same_host(run->source.location, location))
		return true;
	end_close(&run->source);
	return !location->remote || end_open(run->options, &run->source, location);
}

int
copy_by_sftp(
    const struct options *options, struct location *sources, size_t count, struct location *target)
{
	struct run run = {.options = options, .meter = options->quiet ? NULL : meter_new()};
	size_t first = 0, last;

	if (target->remote && !end_open(options, &run.target, target))
		exit(255);
	for (; first < count; first = last) {
		for (last = first + 1; last < count; last++)
			if (!location_same_host(&sources[first], &sources[last]))
				break;
		if (!open_source(&run, &sources[first])) {
			run.status = 255;
			continue;
		}
		copy_group(&run, &sources[first], last - first, target->path, count > 1);
	}
	end_close(&run.source);
	end_close(&run.target);
	meter_free(run.meter);
	return run.status;
}
