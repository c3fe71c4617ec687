/* Requests over a socket that is standard input, one after another. */
#include <ssh/provider_serve.h>

#include <nacre/agent.h>
#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/sandbox.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void
provider_begin(const char *name, int count, char **arguments)
{
	struct rlimit none = {0, 0};
	struct stat status;

	nacre_sandbox_protect_memory();
	setrlimit(RLIMIT_CORE, &none);
	nacre_log_open(name, NACRE_LOG_STDERR, NULL, 0);
	if (count == 3 && strcmp(arguments[1], "-l") == 0)
		nacre_log_level_set((enum nacre_log_level)(arguments[2][0] - '0'));
	if (fstat(STDIN_FILENO, &status) != 0 || !S_ISSOCK(status.st_mode)) {
		fprintf(stderr, "%s is started by ssh, ssh-agent and ssh-keygen\n", name);
		exit(1);
	}
}

bool
provider_serve_one(
    void (*handle)(void *context, struct nacre_span message, struct nacre_buffer *answer),
    void *context)
{
	struct nacre_buffer message = {0}, answer = {0};
	struct nacre_reader header;
	uint8_t length_bytes[4], *room;
	uint32_t length;
	size_t mark;
	bool served = false;

	if (nacre_process_receive(STDIN_FILENO, length_bytes, sizeof length_bytes, NULL, NULL) != 0)
		return false;
	header = nacre_reader_of((struct nacre_span){length_bytes, sizeof length_bytes});
	length = nacre_get_u32(&header);
	if (length > 0 && length <= NACRE_AGENT_MESSAGE_MAX &&
	    (room = nacre_buffer_room(&message, length)) != NULL &&
	    nacre_process_receive(STDIN_FILENO, room, length, NULL, NULL) == 0) {
		nacre_buffer_added(&message, length);
		mark = nacre_put_string_begin(&answer);
		handle(context, nacre_buffer_span(&message), &answer);
		nacre_put_string_end(&answer, mark);
		served = !answer.failed &&
			 nacre_process_send(STDIN_FILENO, nacre_buffer_span(&answer), NULL, 0) == 0;
	}
	nacre_buffer_free(&message);
	nacre_buffer_free(&answer);
	return served;
}
