/* A SOCKS client. */
#include <nacre/socks.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes it in pieces of "step" bytes; how it ended, and in *total how many bytes that took. */
static enum nacre_socks_step
run(struct nacre_socks *socks, const uint8_t *data, size_t size, size_t step, size_t *total)
{
	enum nacre_socks_step result = NACRE_SOCKS_MORE;

	*socks = (struct nacre_socks){0};
	*total = 0;
	while (*total < size && (result == NACRE_SOCKS_MORE || result == NACRE_SOCKS_ANSWER)) {
		const size_t left = size - *total;
		size_t taken;

		result = nacre_socks_take(
		    socks, (struct nacre_span){data + *total, left < step ? left : step}, &taken);
		if (taken == 0 && result != NACRE_SOCKS_REFUSED)
			abort();
		*total += taken;
	}
	return result;
}

/* However it is cut into pieces, what comes of it is the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_socks whole, part;
	size_t whole_total, part_total;
	const enum nacre_socks_step result = run(&whole, data, size, size, &whole_total);

	if (run(&part, data, size, 1, &part_total) != result || part_total != whole_total ||
	    strcmp(part.host, whole.host) != 0 || part.port != whole.port)
		abort();
	if (whole.answer_length > NACRE_SOCKS_ANSWER_MAX)
		abort();
	if (result == NACRE_SOCKS_CONNECT) {
		if (whole.host[0] == '\0' || strlen(whole.host) > NACRE_SOCKS_HOST_MAX)
			abort();
		nacre_socks_finish(&whole, NACRE_SOCKS_CONNECTED);
	}
	return 0;
}
