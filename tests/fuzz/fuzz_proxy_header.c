/* The PROXY protocol's header, as strangers may send it through a proxy. */
#include <nacre/proxy_header.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* However the header is cut into pieces, what comes of it is the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_proxy_header whole, part;
	int result = nacre_proxy_header_parse((struct nacre_span){data, size}, &whole);

	if (result == 1 && (whole.length > size || whole.length > NACRE_PROXY_HEADER_MOST))
		abort();
	for (size_t length = 0; length < size && length < 2 * NACRE_PROXY_HEADER_MOST; length++) {
		int early = nacre_proxy_header_parse((struct nacre_span){data, length}, &part);
		if (early == 1 && (result != 1 || part.length != whole.length))
			abort();
		if (early < 0 && early != result)
			abort();
		if (early != 0)
			break;
	}
	return 0;
}
