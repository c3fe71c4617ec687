/* Copying by SFTP: connections for the operands, and which of them are copied together. */
#include <scp/scp.h>

#include <nacre/transfer.h>

#include <signal.h>
#include <stdlib.h>

/* A connection with its SFTP end, kept while operands stay on its host. */
struct end {
	const struct location *location;
	struct link *link;
	struct nacre_sftp *sftp;
};

struct run {
	const struct options *options;
	struct end sources[JOBS_MAX], targets[JOBS_MAX]; /* as many of each as there are jobs */
	struct meter *meter;
	int status; /* the worst */
};

/* SIGINT, SIGTERM or SIGHUP came. */
static volatile sig_atomic_t interrupted;

/* The second time a signal does what it always does. */
static void
interrupt(int signal_number)
{
	interrupted = 1;
	signal(signal_number, SIG_DFL);
}

static void
catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		const struct sigaction action = {.sa_handler = interrupt};

		sigaction(signals[i], &action, NULL);
	}
}

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
ends_close(struct end *ends)
{
	for (size_t i = 0; i < JOBS_MAX; i++)
		end_close(&ends[i]);
}

/* A connection for each job. */
static bool
ends_open(const struct options *options, struct end *ends, const struct location *location)
{
	for (size_t i = 0; i < options->jobs; i++)
		if (!end_open(options, &ends[i], location))
			return false;
	return true;
}

/* What was copied and what was not, when it was not all and the user works with that. */
static void
account(const struct run *run, struct nacre_transfer *transfer, const struct pump *pump)
{
	const struct options *options = run->options;
	struct nacre_transfer_progress progress;
	uint64_t open;

	if (!pump->accounts || options->dry_run ||
	    (!pump->lost && interrupted == 0 && nacre_transfer_errors(transfer) == 0))
		return;
	nacre_transfer_progress(transfer, &progress);
	open = progress.files_found - progress.files_done - progress.files_failed;
	complain("%s: %llu files are complete, %llu are not; the same with --resume goes on",
	    interrupted != 0 ? "interrupted"
	    : pump->lost     ? "connection lost"
			     : "not all was copied",
	    (unsigned long long)progress.files_done,
	    (unsigned long long)(progress.files_failed + open));
}

static void
copy_group(
    struct run *run, struct location *sources, size_t count, const char *target, bool to_directory)
{
	const struct options *given = run->options;
	struct nacre_sftp *more_sources[JOBS_MAX], *more_targets[JOBS_MAX];
	const struct nacre_transfer_options options = {
	    .source = run->sources[0].sftp,
	    .target = run->targets[0].sftp,
	    .target_path = target,
	    .target_is_directory = to_directory,
	    .recursive = given->recursive,
	    .preserve = given->preserve,
	    .verify = given->resume,
	    .sync = given->sync,
	    .checksum = given->checksum,
	    .prune = given->prune,
	    .atomic = given->atomic,
	    .keep = given->keep,
	    .dry_run = given->dry_run,
	    .excluded = given->excluded.items,
	    .excluded_count = given->excluded.count,
	    .more_sources = more_sources,
	    .more_targets = more_targets,
	    .more_count = given->jobs - 1,
	    .rate = given->rate,
	    .requests = given->requests,
	    .block = given->block,
	};
	struct pump pump = {
	    .source = run->sources[0].link,
	    .target = run->targets[0].link,
	    .more_count = given->jobs - 1,
	    .meter = run->meter,
	    .whole = given->recursive,
	    .interrupted = &interrupted,
	    .accounts = options_need_sftp(given),
	};
	struct nacre_transfer *transfer;

	for (size_t i = 1; i < given->jobs; i++) {
		more_sources[i - 1] = run->sources[i].sftp;
		more_targets[i - 1] = run->targets[i].sftp;
		pump.more_sources[i - 1] = run->sources[i].link;
		pump.more_targets[i - 1] = run->targets[i].link;
	}
	if (nacre_transfer_new(&options, &transfer) != 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = 0; i < count; i++)
		if (nacre_transfer_add(transfer, sources[i].path) != 0)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	pump_run(&pump, transfer);
	account(run, transfer, &pump);
	if (pump.lost)
		run->status = 255;
	else if (interrupted != 0 && run->status == 0)
		run->status = 1;
	if (nacre_transfer_status(transfer) > run->status)
		run->status = nacre_transfer_status(transfer);
	nacre_transfer_free(transfer);
}

static bool
open_source(struct run *run, const struct location *location)
{
	if (run->sources[0].link != NULL && location->remote &&
	    location_same_host(run->sources[0].location, location))
		return true;
	ends_close(run->sources);
	return !location->remote || ends_open(run->options, run->sources, location);
}

int
copy_by_sftp(
    const struct options *options, struct location *sources, size_t count, struct location *target)
{
	struct run run = {.options = options, .meter = options->quiet ? NULL : meter_new()};
	size_t first = 0, last;

	if (target->remote && !ends_open(options, run.targets, target))
		exit(255);
	if (options_need_sftp(options))
		catch_signals();
	for (; first < count && interrupted == 0; first = last) {
		for (last = first + 1; last < count; last++)
			if (!location_same_host(&sources[first], &sources[last]))
				break;
		if (!open_source(&run, &sources[first])) {
			run.status = 255;
			continue;
		}
		copy_group(&run, &sources[first], last - first, target->path, count > 1);
	}
	ends_close(run.sources);
	ends_close(run.targets);
	meter_free(run.meter);
	return run.status;
}
