/* The head of a request for the metrics. */
#include <nacre/http_request.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* However the head is cut into pieces, what comes of it is the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_http_request whole, part;
	int result = nacre_http_request_parse((struct nacre_span){data, size}, &whole);

	if (result == 1 && (whole.path.length == 0 || whole.method.length == 0 ||
			       whole.path.data < data || whole.path.data >= data + size))
		abort();
	for (size_t length = 0; length < size; length++) {
		int early = nacre_http_request_parse((struct nacre_span){data, length}, &part);
		if (early != 0 && early != result)
			abort();
		if (early != 0)
			break;
	}
	return 0;
}
