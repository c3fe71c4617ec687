/* sftp: copy, which the server does by itself. */
#include <scp/sftp_call.h>

#include <stdlib.h>
#include <sys/stat.h>

/* Opens one end of a copy on the server. */
static bool
open_handle(const struct call *call, const char *path, uint32_t flags,
    const struct nacre_sftp_attributes *attributes, struct answer *answer)
{
	const struct nacre_sftp_tag tag = answer_tag(answer);

	nacre_sftp_open(call->sftp->remote.sftp, nacre_span_of(path), flags, attributes, &tag);
	return remote_await(&call->sftp->remote, answer) &&
	       answer_ok(answer, "remote open \"%s\"", path) &&
	       answer->message == NACRE_SFTP_HANDLE;
}

static bool
copy_data(const struct call *call, const struct answer *from, const struct answer *to,
    const char *from_path, const char *to_path)
{
	struct nacre_sftp *const sftp = call->sftp->remote.sftp;
	struct nacre_buffer payload = {0};
	struct answer answer = {0};
	const struct nacre_sftp_tag tag = answer_tag(&answer);

	nacre_put_string_span(&payload, nacre_buffer_span(&from->content));
	nacre_put_u64(&payload, 0);
	nacre_put_u64(&payload, 0);
	nacre_put_string_span(&payload, nacre_buffer_span(&to->content));
	nacre_put_u64(&payload, 0);
	nacre_sftp_extended_request(sftp, "copy-data", nacre_buffer_span(&payload), &tag);
	nacre_buffer_free(&payload);
	const bool good =
	    remote_await(&call->sftp->remote, &answer) &&
	    answer_ok(&answer, "Couldn't copy file \"%s\" to \"%s\"", from_path, to_path);
	answer_free(&answer);
	return good;
}

static void
close_handle(const struct call *call, struct answer *answer)
{
	if (answer->message == NACRE_SFTP_HANDLE)
		nacre_sftp_handle_request(call->sftp->remote.sftp, NACRE_SFTP_CLOSE,
		    nacre_buffer_span(&answer->content), NULL);
	answer_free(answer);
}

static bool
copy_remote(const struct call *call, const char *from, const char *to)
{
	const struct nacre_sftp_attributes none = {0};
	struct answer status = {0}, source = {0}, target = {0};
	bool good = remote_stat(&call->sftp->remote, from, true, &status);

	if (!good)
		answer_ok(&status, "stat remote");
	if (good && !S_ISREG(status.attributes.permissions)) {
		complain("Cannot copy non-regular file: %s", from);
		good = false;
	}
	struct nacre_sftp_attributes mode = {.flags = NACRE_SFTP_ATTR_PERMISSIONS,
	    .permissions = status.attributes.permissions & 0777};
	good = good && open_handle(call, from, NACRE_SFTP_OPEN_READ, &none, &source) &&
	       open_handle(call, to,
		   NACRE_SFTP_OPEN_WRITE | NACRE_SFTP_OPEN_CREATE | NACRE_SFTP_OPEN_TRUNCATE, &mode,
		   &target) &&
	       copy_data(call, &source, &target, from, to);
	close_handle(call, &source);
	close_handle(call, &target);
	answer_free(&status);
	return good;
}

int
run_copy(const struct call *call)
{
	if (!call_server_has(call, NACRE_SFTP_COPY_DATA)) {
		complain("Server does not support copy-data extension");
		return 1;
	}
	char *const from = call_remote_name(call, 0), *const to = call_remote_name(call, 1);
	const bool good = copy_remote(call, from, to);
	free(from);
	free(to);
	return call_status(call, good);
}
