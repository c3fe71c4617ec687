/* The agent's client against a hostile agent: the input is all that the agent ever says. */
#include <nacre/agent.h>

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX ((size_t)32 * 1024) /* fits into a socket's buffer */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_agent_identities identities;
	struct nacre_span text = nacre_span_of("text");
	struct nacre_buffer answer = {0};
	struct nacre_agent *agent;
	int pair[2];

	if (size > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		return 0;
	if (write(pair[1], data, size) == (ssize_t)size && shutdown(pair[1], SHUT_WR) == 0 &&
	    nacre_agent_of_fd(pair[0], &agent) == 0) {
		if (nacre_agent_list(agent, &identities) == 0)
			nacre_agent_identities_free(&identities);
		nacre_agent_sign(agent, text, text, 0, &answer);
		nacre_agent_extension(agent, "query", text, &answer);
		nacre_agent_free(agent);
	} else {
		close(pair[0]);
	}
	close(pair[1]);
	nacre_buffer_free(&answer);
	return 0;
}
