/* sftp: the commands that change files and directories on the server. */
#include <scp/sftp_call.h>

#include <stdlib.h>
#include <string.h>

/* Requests that answer with a status ------------------------------------------------------------ */

/* Waits for the answer, complains, and gives the command's result. */
static int
finish(const struct call *call, struct answer *answer, const char *what, const char *path)
{
	struct remote *const remote = &call->sftp->remote;
	const bool good =
	    remote_await(remote, answer) && answer_ok(answer, "remote %s \"%s\"", what, path);

	answer_free(answer);
	return call_status(call, good);
}

int
run_mkdir(const struct call *call)
{
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS, .permissions = 0777};
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);
	char *const path = call_remote_name(call, 0);

	nacre_sftp_attributes_request(
	    call->sftp->remote.sftp, NACRE_SFTP_MKDIR, nacre_span_of(path), &attributes, &tag);
	const int status = finish(call, &answer, "mkdir", path);
	free(path);
	return status;
}

int
run_rmdir(const struct call *call)
{
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);
	char *const path = call_remote_name(call, 0);

	nacre_sftp_path_request(
	    call->sftp->remote.sftp, NACRE_SFTP_RMDIR, nacre_span_of(path), &tag);
	const int status = finish(call, &answer, "rmdir", path);
	free(path);
	return status;
}

/* Something that is done to every match of a pattern. */
struct bulk {
	const char *announcement, *what;
	bool quoted; /* the path, in what is said of a failure */
	void (*request)(const struct call *call, const char *path, uint32_t number,
	    const struct nacre_sftp_attributes *attributes, const struct nacre_sftp_tag *tag);
};

static bool
bulk_answer(
    const struct bulk *bulk, const struct call *call, const char *path, struct answer *answer)
{
	if (!call->sftp->options->quiet)
		say("%s %s\n", bulk->announcement, path);
	bool good = remote_await(&call->sftp->remote, answer);
	if (good && bulk->quoted)
		good = answer_ok(answer, "remote %s \"%s\"", bulk->what, path);
	else if (good)
		good = answer_ok(answer, "remote %s %s", bulk->what, path);
	answer_free(answer);
	return good;
}

/* All requests leave at once; the answers come in order. */
static int
bulk_run(const struct bulk *bulk, const struct call *call, size_t word, uint32_t number)
{
	struct remote *const remote = &call->sftp->remote;
	char *const pattern = remote_pattern(remote, call->words[word]);
	struct found_list list = {0};
	bool good = true;

	remote_glob(remote, pattern, false, &list);
	if (list.count == 0) /* the name as it stands: the server says what is wrong with it */
		found_add(&list, glob_unquote(pattern), &(struct nacre_sftp_attributes){0}, NULL);
	struct answer *const answers = calloc(list.count, sizeof *answers);
	if (answers == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	for (size_t i = 0; i < list.count && !remote->lost; i++) {
		const struct nacre_sftp_tag tag = answer_tag(&answers[i]);

		bulk->request(call, list.items[i].path, number, &list.items[i].attributes, &tag);
	}
	for (size_t i = 0; i < list.count; i++)
		good &= bulk_answer(bulk, call, list.items[i].path, &answers[i]);
	free(answers);
	found_free(&list);
	free(pattern);
	return call_status(call, good);
}

static void
request_remove(const struct call *call, const char *path, uint32_t number,
    const struct nacre_sftp_attributes *attributes, const struct nacre_sftp_tag *tag)
{
	(void)number;
	(void)attributes;
	nacre_sftp_path_request(
	    call->sftp->remote.sftp, NACRE_SFTP_REMOVE, nacre_span_of(path), tag);
}

int
run_rm(const struct call *call)
{
	static const struct bulk bulk = {"Removing", "delete", false, request_remove};

	return bulk_run(&bulk, call, 0, 0);
}

/* chmod, chown, chgrp --------------------------------------------------------------------------- */

static void
set_attributes(const struct call *call, const char *path,
    const struct nacre_sftp_attributes *attributes, const struct nacre_sftp_tag *tag)
{
	struct nacre_sftp *const sftp = call->sftp->remote.sftp;
	struct nacre_buffer payload = {0};

	if (!call_has(call, 'h')) {
		nacre_sftp_attributes_request(
		    sftp, NACRE_SFTP_SETSTAT, nacre_span_of(path), attributes, tag);
		return;
	}
	nacre_put_cstring(&payload, path);
	nacre_sftp_put_attributes(&payload, attributes);
	nacre_sftp_extended_request(sftp, "lsetstat@openssh.com", nacre_buffer_span(&payload), tag);
	nacre_buffer_free(&payload);
}

static void
request_mode(const struct call *call, const char *path, uint32_t number,
    const struct nacre_sftp_attributes *known, const struct nacre_sftp_tag *tag)
{
	const struct nacre_sftp_attributes attributes = {
	    .flags = NACRE_SFTP_ATTR_PERMISSIONS, .permissions = number};

	(void)known;
	set_attributes(call, path, &attributes, tag);
}

/* Owner and group are set together: the other one is what it was. */
static void
request_owner(const struct call *call, const char *path, uint32_t number,
    const struct nacre_sftp_attributes *known, const struct nacre_sftp_tag *tag)
{
	const bool group = strcmp(call->command->name, "chgrp") == 0;
	const struct nacre_sftp_attributes attributes = {.flags = NACRE_SFTP_ATTR_OWNER,
	    .uid = group ? known->uid : number,
	    .gid = group ? number : known->gid};

	set_attributes(call, path, &attributes, tag);
}

static bool
may_set_links(const struct call *call)
{
	if (!call_has(call, 'h') ||
	    (nacre_sftp_extensions(call->sftp->remote.sftp) & NACRE_SFTP_LSETSTAT) != 0)
		return true;
	complain("Server does not support lsetstat@openssh.com extension");
	return false;
}

int
run_chmod(const struct call *call)
{
	static const struct bulk bulk = {"Changing mode on", "setstat", true, request_mode};
	uint32_t mode;

	if (!call_number(call, 8, 07777, &mode) || !may_set_links(call))
		return 1;
	return bulk_run(&bulk, call, 1, mode);
}

int
run_chown(const struct call *call)
{
	static const struct bulk owner = {"Changing owner on", "setstat", true, request_owner};
	static const struct bulk group = {"Changing group on", "setstat", true, request_owner};
	const bool of_group = strcmp(call->command->name, "chgrp") == 0;
	uint32_t number;

	if (!call_number(call, 10, UINT32_MAX, &number) || !may_set_links(call))
		return 1;
	return bulk_run(of_group ? &group : &owner, call, 1, number);
}

/* Two paths ------------------------------------------------------------------------------------- */

static int
two_paths(const struct call *call, const char *what, enum nacre_sftp_message message,
    const char *extension, bool first_as_it_is)
{
	struct remote *const remote = &call->sftp->remote;
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);
	char *const first =
	    first_as_it_is ? glob_unquote(call->words[0]) : call_remote_name(call, 0);
	char *const second = call_remote_name(call, 1);

	if (extension != NULL) {
		struct nacre_buffer payload = {0};

		nacre_put_cstring(&payload, first);
		nacre_put_cstring(&payload, second);
		nacre_sftp_extended_request(
		    remote->sftp, extension, nacre_buffer_span(&payload), &tag);
		nacre_buffer_free(&payload);
	} else {
		nacre_sftp_paths_request(
		    remote->sftp, message, nacre_span_of(first), nacre_span_of(second), &tag);
	}
	const bool good = remote_await(remote, &answer) &&
			  answer_ok(&answer, "remote %s \"%s\" to \"%s\"", what, first, second);
	answer_free(&answer);
	free(first);
	free(second);
	return call_status(call, good);
}

/* The extension replaces what is there, as rename(2) does; the plain request does not. */
int
run_rename(const struct call *call)
{
	const bool posix = !call_has(call, 'l') && call_server_has(call, NACRE_SFTP_POSIX_RENAME);

	return two_paths(
	    call, "rename", NACRE_SFTP_RENAME, posix ? "posix-rename@openssh.com" : NULL, false);
}

int
run_symlink(const struct call *call)
{
	return two_paths(call, "symlink file", NACRE_SFTP_SYMLINK, NULL, true);
}

int
run_ln(const struct call *call)
{
	if (call_has(call, 's'))
		return run_symlink(call);
	if (!call_server_has(call, NACRE_SFTP_HARDLINK)) {
		complain("Server does not support hardlink@openssh.com extension");
		return 1;
	}
	return two_paths(call, "link", NACRE_SFTP_EXTENDED, "hardlink@openssh.com", false);
}
