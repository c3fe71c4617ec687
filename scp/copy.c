/* Copying by SFTP: connections for the operands, and which of them are copied together. */
#include <scp/scp.h>

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
	int status; /* the worst */
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
	struct pump pump = {
	    .source = run->source.link, .target = run->target.link, .meter = run->meter};
	pump_run(&pump, transfer);
	if (pump.lost)
		run->status = 255;
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
