/* What a machine may be asked to sign for one of its users: a hostbased request, RFC 4252 section 9. */
#include <nacre/keysign.h>
#include <userauth/state.h>

/* RFC 4253 section 7.2: a hash that the exchange uses has at least as many bytes. */
#define IDENTIFIER_MIN 20

int
nacre_keysign_check(struct nacre_span data, const char *user, const char *host,
    struct nacre_span *algorithm, struct nacre_span *blob)
{
	struct nacre_reader reader = nacre_reader_of(data);
	const struct nacre_span identifier = nacre_get_string(&reader);
	const uint8_t message = nacre_get_byte(&reader);
	const struct nacre_span remote_user = nacre_get_string(&reader);
	const struct nacre_span service = nacre_get_string(&reader);
	const struct nacre_span method = nacre_get_string(&reader);

	*algorithm = nacre_get_string(&reader);
	*blob = nacre_get_string(&reader);
	const struct nacre_span client_host = nacre_get_string(&reader);
	const struct nacre_span client_user = nacre_get_string(&reader);

	if (!nacre_reader_done(&reader) || identifier.length < IDENTIFIER_MIN ||
	    message != MESSAGE_USERAUTH_REQUEST || remote_user.length == 0 ||
	    !nacre_span_equals(service, SERVICE_CONNECTION) ||
	    !nacre_span_equals(method, "hostbased"))
		return NACRE_ERROR_FORMAT;
	if (!nacre_span_equals(client_host, host) || !nacre_span_equals(client_user, user))
		return NACRE_ERROR_REFUSED;
	return 0;
}
