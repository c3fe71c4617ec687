/* sftp: the commands that tell or change where one is, and how full it is there. */
#include <scp/sftp_call.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Directories ----------------------------------------------------------------------------------- */

int
run_cd(const struct call *call)
{
	struct remote *const remote = &call->sftp->remote;
	char *const wanted =
	    call->count > 0 ? call_remote_name(call, 0) : remote_real_path(remote, ".");
	char *const path = wanted != NULL ? remote_real_path(remote, wanted) : NULL;
	struct answer answer = {0};
	bool good = false;

	if (path != NULL && !remote_stat(remote, path, true, &answer))
		answer_ok(&answer, "stat remote");
	else if (path != NULL && !S_ISDIR(answer.attributes.permissions))
		complain("Can't change directory: \"%s\" is not a directory", path);
	else
		good = path != NULL;
	answer_free(&answer);
	free(wanted);
	if (!good) {
		free(path);
		return call_status(call, false);
	}
	free(remote->directory);
	remote->directory = path;
	return 0;
}

int
run_pwd(const struct call *call)
{
	say("Remote working directory: %s\n", call->sftp->remote.directory);
	return 0;
}

struct capacity {
	uint64_t block, blocks, free, available, files, files_free, files_available;
};

static unsigned
percent(uint64_t used, uint64_t total)
{
	return total > 0 ? (unsigned)((double)used * 100 / (double)total) : 0;
}

static void
print_blocks(const struct capacity *capacity, bool human)
{
	const uint64_t unit = capacity->block;
	const uint64_t used = capacity->blocks - capacity->free;
	const uint64_t figures[] = {capacity->blocks, used, capacity->available, capacity->free};

	say(human ? "    Size     Used    Avail   (root)    %%Capacity\n"
		  : "        Size         Used        Avail       (root)    %%Capacity\n");
	for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
		char text[32];

		if (human)
			format_bytes(figures[i] * unit, true, text, sizeof text);
		if (human)
			say(i == 0 ? "%8s" : " %8s", text);
		else
			say(i == 0 ? "%12llu" : " %12llu",
			    (unsigned long long)(figures[i] * unit / 1024));
	}
	say("         %3u%%\n", percent(used, capacity->blocks));
}

static void
print_files(const struct capacity *capacity)
{
	const uint64_t used = capacity->files - capacity->files_free;

	say("     Inodes        Used       Avail      (root)    %%Capacity\n");
	say("%11llu %11llu %11llu %11llu         %3u%%\n", (unsigned long long)capacity->files,
	    (unsigned long long)used, (unsigned long long)capacity->files_available,
	    (unsigned long long)capacity->files_free, percent(used, capacity->files));
}

static bool
decode_capacity(const struct answer *answer, struct capacity *capacity)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&answer->content));

	nacre_get_u64(&reader); /* f_bsize */
	capacity->block = nacre_get_u64(&reader);
	capacity->blocks = nacre_get_u64(&reader);
	capacity->free = nacre_get_u64(&reader);
	capacity->available = nacre_get_u64(&reader);
	capacity->files = nacre_get_u64(&reader);
	capacity->files_free = nacre_get_u64(&reader);
	capacity->files_available = nacre_get_u64(&reader);
	return answer->message == NACRE_SFTP_EXTENDED_REPLY && !reader.failed;
}

int
run_df(const struct call *call)
{
	struct remote *const remote = &call->sftp->remote;
	char *const path = call->count > 0 ? call_remote_name(call, 0) : strdup(remote->directory);
	struct nacre_buffer payload = {0};
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);
	struct capacity capacity;
	bool good = call_server_has(call, NACRE_SFTP_STATVFS);

	if (path == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	if (!good)
		complain("Server does not support statvfs@openssh.com extension");
	nacre_put_cstring(&payload, path);
	if (good)
		nacre_sftp_extended_request(
		    remote->sftp, "statvfs@openssh.com", nacre_buffer_span(&payload), &tag);
	good = good && remote_await(remote, &answer) &&
	       answer_ok(&answer, "remote statvfs(\"%s\")", path);
	if (good && !decode_capacity(&answer, &capacity)) {
		complain("remote statvfs(\"%s\"): the server's answer makes no sense", path);
		good = false;
	}
	if (good && call_has(call, 'i'))
		print_files(&capacity);
	else if (good)
		print_blocks(&capacity, call_has(call, 'h'));
	nacre_buffer_free(&payload);
	answer_free(&answer);
	free(path);
	return call_status(call, good);
}
