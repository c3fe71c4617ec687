/* A session through somebody else's connection, for programs that have descriptors to give. */
#include <nacre/log.h>
#include <nacre/mux.h>

#include <errno.h>
#include <string.h>

#define TEXT(span) (int)(span).length, (const char *)(span).data
#define SESSION_ID 1

static int
next(struct nacre_mux_socket *control, struct nacre_mux_message *message)
{
	int descriptors[NACRE_MUX_DESCRIPTORS];
	int taken;

	while ((taken = nacre_mux_take(control, message, descriptors)) == 0)
		if (nacre_mux_receive(control, true) < 0)
			return NACRE_ERROR_CLOSED;
	return taken == 1 ? 0 : taken;
}

static int
take_greeting(struct nacre_mux_socket *control)
{
	struct nacre_mux_message hello;
	const int error = next(control, &hello);

	if (error != 0)
		return error;
	return hello.kind == NACRE_MUX_HELLO && hello.value == NACRE_MUX_VERSION
		   ? 0
		   : NACRE_ERROR_PROTOCOL;
}

static int
await_opened(struct nacre_mux_socket *control, const char *path)
{
	struct nacre_mux_message answer;
	int error = take_greeting(control);

	if (error == 0)
		error = next(control, &answer);
	if (error != 0) {
		nacre_log(NACRE_LOG_ERROR, "The master at %s gave no answer: %s", path,
		    nacre_error_string(error));
		return error;
	}
	if (answer.kind == NACRE_MUX_SESSION_OPENED)
		return 0;
	nacre_log(
	    NACRE_LOG_ERROR, "The master at %s refused a session: %.*s", path, TEXT(answer.text));
	return NACRE_ERROR_REFUSED;
}

int
nacre_mux_session_open(const char *path, const char *command, bool subsystem,
    const int descriptors[NACRE_MUX_DESCRIPTORS], struct nacre_mux_socket *control)
{
	const struct nacre_mux_message hello = {
	    .kind = NACRE_MUX_HELLO, .value = NACRE_MUX_VERSION};
	const struct nacre_mux_message session = {
	    .kind = NACRE_MUX_NEW_SESSION,
	    .id = SESSION_ID,
	    .session = {.subsystem = subsystem,
		.escape = NACRE_MUX_ESCAPE_OFF,
		.command = nacre_span_of(command)},
	};
	struct nacre_buffer packets = {0};
	int error = nacre_mux_connect(path, control);

	if (error == NACRE_ERROR_NOT_FOUND)
		nacre_log(NACRE_LOG_DEBUG1, "Control socket \"%s\" does not exist", path);
	else if (error == NACRE_ERROR_PERMISSION)
		nacre_log(NACRE_LOG_ERROR,
		    "Control socket %s belongs to another user: not used. See ls -l %s", path,
		    path);
	else if (error != 0)
		nacre_log(NACRE_LOG_ERROR, "Control socket connect(%s): %s", path, strerror(errno));
	if (error != 0)
		return error;
	nacre_mux_put(&packets, &hello);
	nacre_mux_put(&packets, &session);
	error = nacre_mux_send(
	    control, nacre_buffer_span(&packets), descriptors, NACRE_MUX_DESCRIPTORS);
	nacre_buffer_free(&packets);
	if (error == 0)
		error = await_opened(control, path);
	if (error != 0)
		nacre_mux_close(control);
	return error;
}

int
nacre_mux_session_status(struct nacre_mux_socket *control)
{
	struct nacre_mux_message message;
	int status = NACRE_MUX_NO_STATUS;

	while (next(control, &message) == 0)
		if (message.kind == NACRE_MUX_EXIT_MESSAGE)
			status = (int)(message.value & 0xff);
	return status;
}
