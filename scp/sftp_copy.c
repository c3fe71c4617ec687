/* sftp: get and put, by the engine that scp has. */
#include <scp/sftp.h>
#include <scp/sftp_task.h>

#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct copy_flags
merged(const struct sftp *sftp, const struct copy_flags *flags)
{
	return (struct copy_flags){
	    .recursive = flags->recursive || sftp->options->recursive,
	    .preserve = flags->preserve || sftp->options->preserve,
	    .resume = flags->resume || sftp->options->resume,
	    .flush = flags->flush || sftp->options->flush,
	};
}

static char *
base_name(const char *path)
{
	char *const copy = strdup(path);
	char *const name = copy != NULL ? strdup(basename(copy)) : NULL;

	if (name == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	free(copy);
	return name;
}

/* One source to one name. "attributes": of a remote source. */
static int
transfer(struct sftp *sftp, const struct copy_flags *flags, const char *source,
    const struct nacre_sftp_attributes *attributes, const char *target)
{
	const bool upload = attributes == NULL;
	const struct nacre_transfer_options options = {
	    .source = upload ? NULL : sftp->remote.sftp,
	    .target = upload ? sftp->remote.sftp : NULL,
	    .target_path = target,
	    .exact = true,
	    .recursive = flags->recursive,
	    .preserve = flags->preserve,
	    .resume = flags->resume,
	    .flush = flags->flush,
	    .brief = true,
	    .rate = sftp->options->connection.rate,
	    .requests = sftp->options->connection.requests,
	    .block = sftp->options->connection.block,
	};
	struct pump pump = {
	    .source = upload ? NULL : sftp->remote.link,
	    .target = upload ? sftp->remote.link : NULL,
	    .meter = sftp->show_progress ? meter_new() : NULL,
	    .directory = upload ? "Entering" : "Retrieving",
	    .interrupted = sftp->remote.interrupted,
	};
	struct nacre_transfer *transfer;

	if (nacre_transfer_new(&options, &transfer) != 0 ||
	    (upload ? nacre_transfer_add(transfer, source)
		    : nacre_transfer_add_known(transfer, source, attributes)) != 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	if (task_is_current()) {
		remote_run_transfer(&sftp->remote, transfer,
		    upload ? NACRE_TRANSFER_TARGET : NACRE_TRANSFER_SOURCE);
		pump_show_events(&pump, transfer);
		pump.lost = sftp->remote.lost;
	} else {
		pump_run(&pump, transfer);
	}
	const bool stopped = remote_interrupted(&sftp->remote);
	const int status = stopped || nacre_transfer_status(transfer) != 0;
	nacre_transfer_free(transfer);
	meter_free(pump.meter);
	sftp->remote.lost |= pump.lost;
	return pump.lost ? -1 : status;
}

/* What cannot be copied does not keep the rest from it; a person does, and the end of the
 * connection. */
static bool
goes_on(const struct sftp *sftp)
{
	return !sftp->remote.lost && !remote_interrupted(&sftp->remote);
}

static void
announce(const struct sftp *sftp, const char *what, const char *source, const char *target)
{
	if (!sftp->options->quiet)
		say("%s %s to %s\n", what, source, target);
	fflush(stdout);
}

/* get ----------------------------------------------------------------------------------------- */

/* A directory is told of by its real name. */
static int
get_directory(struct sftp *sftp, const struct copy_flags *flags, const struct found *found,
    const char *target)
{
	char *const real = remote_real_path(&sftp->remote, found->path);
	const int status =
	    real != NULL ? transfer(sftp, flags, real, &found->attributes, target) : 1;

	free(real);
	return status;
}

static int
refuse_special(struct sftp *sftp, const struct found *found)
{
	struct answer answer = {0};

	if (!S_ISLNK(found->attributes.permissions)) {
		complain("download %s%s: not a regular file", found->path,
		    S_ISDIR(found->attributes.permissions) ? "/" : "");
	} else if (!remote_stat(&sftp->remote, found->path, true, &answer)) {
		answer_ok(&answer, "stat remote"); /* it leads nowhere */
	}
	answer_free(&answer);
	return 1;
}

static int
get_one(struct sftp *sftp, const struct copy_flags *flags, const struct found *found,
    const char *target, bool into)
{
	const mode_t type = found->attributes.permissions & S_IFMT;
	const bool directory = type == S_IFDIR;
	char *const name = base_name(found->path);
	/* What is said is the name alone where that is in this directory. */
	char *const path = into && strcmp(target, ".") != 0 ? path_join(target, name)
							    : strdup(into ? name : target);
	char *const marked = directory ? path_join(found->path, "") : strdup(found->path);
	int status;

	if (path == NULL || marked == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	announce(sftp, flags->resume ? "Resuming" : "Fetching", marked, path);
	if (directory && flags->recursive)
		status = get_directory(sftp, flags, found, path);
	else if (type == S_IFREG || type == 0)
		status = transfer(sftp, flags, found->path, &found->attributes, path);
	else
		status = refuse_special(sftp, found);
	free(name);
	free(path);
	free(marked);
	return status;
}

int
copy_get(struct sftp *sftp, const struct copy_flags *flags, const char *source, const char *target)
{
	const struct copy_flags all = merged(sftp, flags);
	char *const pattern = remote_pattern(&sftp->remote, source);
	struct found_list list = {0};
	struct stat status;
	int result = 0;

	const char *const place = target != NULL ? target : ".";
	const bool into = stat(place, &status) == 0 && S_ISDIR(status.st_mode);
	remote_glob(&sftp->remote, pattern, true, &list);
	remote_follow(&sftp->remote, &list);
	if (list.count == 0) {
		complain("File \"%s\" not found.", pattern);
		result = 1;
	} else if (list.count > 1 && !into) {
		complain("Multiple source paths, but destination \"%s\" is not a directory", place);
		result = 1;
	} else {
		for (size_t i = 0; i < list.count && goes_on(sftp); i++)
			result |= get_one(sftp, &all, &list.items[i], place, into);
	}
	found_free(&list);
	free(pattern);
	return sftp->remote.lost ? -1 : result;
}

/* put ----------------------------------------------------------------------------------------- */

static bool
remote_directory(struct remote *remote, const char *path)
{
	struct answer answer = {0};
	const bool result =
	    remote_stat(remote, path, true, &answer) && S_ISDIR(answer.attributes.permissions);

	answer_free(&answer);
	return result;
}

static int
put_one(struct sftp *sftp, const struct copy_flags *flags, const char *source, const char *target,
    bool into)
{
	struct stat status;
	char *const name = base_name(source);
	char *const path = into ? path_join(target, name) : strdup(target);
	int result = 1;

	if (path == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	if (stat(source, &status) != 0) {
		complain("stat %s: %s", source, strerror(errno));
	} else {
		const bool directory = S_ISDIR(status.st_mode);
		char *const shown = directory ? path_join(source, "") : strdup(source);

		if (shown == NULL)
			die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
		announce(sftp, flags->resume ? "Resuming upload of" : "Uploading", shown, path);
		if (S_ISREG(status.st_mode) || (directory && flags->recursive))
			result = transfer(sftp, flags, shown, NULL, path);
		else
			complain("local \"%s\" is not a regular file", shown);
		free(shown);
	}
	free(name);
	free(path);
	return result;
}

int
copy_put(struct sftp *sftp, const struct copy_flags *flags, const char *source, const char *target)
{
	const struct copy_flags all = merged(sftp, flags);
	char *const wanted = glob_unquote(target != NULL ? target : "");
	char *const place = *wanted != '\0' ? remote_absolute(&sftp->remote, wanted)
					    : strdup(sftp->remote.directory);
	glob_t matches = {0};
	int result = 0;

	if (place == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	if (glob(source, GLOB_NOCHECK, NULL, &matches) != 0)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	/* Nothing matched: the name as it was meant. */
	char *const literal = glob_unquote(source);
	const bool single = matches.gl_pathc == 1;
	/* One is in a directory. */
	const bool into = *wanted == '\0' || remote_directory(&sftp->remote, place);
	if (!single && !into) {
		complain("Multiple paths match, but destination \"%s\" is not a directory", place);
		result = 1;
	}
	for (size_t i = 0; i < matches.gl_pathc && (single || into) && goes_on(sftp); i++)
		result |= put_one(sftp, &all,
		    single && !glob_has_wildcards(source) ? literal : matches.gl_pathv[i], place,
		    into);
	globfree(&matches);
	free(literal);
	free(wanted);
	free(place);
	return sftp->remote.lost ? -1 : result;
}
