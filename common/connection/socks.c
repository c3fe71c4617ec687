/* SOCKS 4, 4A and 5, the server's side: see nacre/socks.h. */
#include <nacre/socks.h>

#include <arpa/inet.h>
#include <string.h>

enum { COMMAND_CONNECT = 1 };
enum { FOUR_GRANTED = 90, FOUR_REJECTED = 91 };
enum { METHOD_NONE_REQUIRED = 0, METHOD_NONE_ACCEPTABLE = 0xff };
enum { ADDRESS_IPV4 = 1, ADDRESS_NAME = 3, ADDRESS_IPV6 = 4 };
enum {
	FIVE_SUCCEEDED = 0,
	FIVE_FAILED = 1,
	FIVE_NOT_ALLOWED = 2,
	FIVE_COMMAND_UNKNOWN = 7,
	FIVE_ADDRESS_UNKNOWN = 8
};

#define FOUR_HEADER       ((size_t)8)
#define FOUR_USER_MAX     ((size_t)255)
#define FIVE_HEADER       ((size_t)4)
#define FOUR_ANSWER_BYTES 8
#define FIVE_ANSWER_BYTES 10

static enum nacre_socks_step
refuse(struct nacre_socks *socks, const char *problem)
{
	socks->problem = problem;
	return NACRE_SOCKS_REFUSED;
}

static void
answer_four(struct nacre_socks *socks, uint8_t code)
{
	memset(socks->answer, 0, FOUR_ANSWER_BYTES);
	socks->answer[1] = code;
	socks->answer_length = FOUR_ANSWER_BYTES;
}

/* The address that we connect from is the other side's business: 0.0.0.0, port 0. */
static void
answer_five(struct nacre_socks *socks, uint8_t code)
{
	memset(socks->answer, 0, FIVE_ANSWER_BYTES);
	socks->answer[0] = 5;
	socks->answer[1] = code;
	socks->answer[3] = ADDRESS_IPV4;
	socks->answer_length = FIVE_ANSWER_BYTES;
}

static unsigned
port_at(const uint8_t *bytes)
{
	return (unsigned)bytes[0] << 8 | bytes[1];
}

static bool
take_name(struct nacre_socks *socks, const uint8_t *name, size_t length)
{
	if (length == 0 || length > NACRE_SOCKS_HOST_MAX || memchr(name, '\0', length) != NULL)
		return false;
	memcpy(socks->host, name, length);
	socks->host[length] = '\0';
	return true;
}

/* Version 4 ------------------------------------------------------------------------------------- */

/* 4A: an address that cannot be, 0.0.0.x, says that a name follows. */
static bool
has_name(const struct nacre_socks *socks)
{
	const uint8_t *const address = socks->request + 4;

	return address[0] == 0 && address[1] == 0 && address[2] == 0 && address[3] != 0;
}

static enum nacre_socks_step
four_connect(struct nacre_socks *socks, const uint8_t *name, size_t name_length)
{
	const uint8_t *const request = socks->request;

	socks->port = port_at(request + 2);
	if (request[1] != COMMAND_CONNECT) {
		answer_four(socks, FOUR_REJECTED);
		return refuse(socks, "only CONNECT is supported");
	}
	if (!has_name(socks)) {
		inet_ntop(AF_INET, request + 4, socks->host, sizeof socks->host);
		return NACRE_SOCKS_CONNECT;
	}
	if (take_name(socks, name, name_length))
		return NACRE_SOCKS_CONNECT;
	answer_four(socks, FOUR_REJECTED);
	return refuse(socks, "the host name is empty or too long");
}

/* VN, CD, DSTPORT, DSTIP, USERID, NUL, and for 4A the host name, NUL. Called for every byte. */
static enum nacre_socks_step
four_step(struct nacre_socks *socks)
{
	const uint8_t *const request = socks->request;

	if (socks->length < FOUR_HEADER)
		return NACRE_SOCKS_MORE;
	const size_t rest = socks->length - FOUR_HEADER;
	const uint8_t *const user = request + FOUR_HEADER;
	const uint8_t *const user_end = memchr(user, '\0', rest);
	if (user_end == NULL)
		return rest > FOUR_USER_MAX ? refuse(socks, "the user name is too long")
					    : NACRE_SOCKS_MORE;
	if (!has_name(socks))
		return four_connect(socks, NULL, 0);
	const uint8_t *const name = user_end + 1;
	const size_t name_length = (size_t)(request + socks->length - name);
	const uint8_t *const name_end = memchr(name, '\0', name_length);
	if (name_end != NULL)
		return four_connect(socks, name, (size_t)(name_end - name));
	return name_length > NACRE_SOCKS_HOST_MAX ? refuse(socks, "the host name is too long")
						  : NACRE_SOCKS_MORE;
}

/* Version 5 ------------------------------------------------------------------------------------- */

/* VER, NMETHODS, METHODS. */
static enum nacre_socks_step
five_greeting(struct nacre_socks *socks)
{
	const uint8_t *const request = socks->request;

	if (socks->length < 2 || socks->length < 2u + request[1])
		return NACRE_SOCKS_MORE;
	socks->answer[0] = 5;
	socks->answer_length = 2;
	if (memchr(request + 2, METHOD_NONE_REQUIRED, request[1]) == NULL) {
		socks->answer[1] = METHOD_NONE_ACCEPTABLE;
		return refuse(socks, "it insists on authentication");
	}
	socks->answer[1] = METHOD_NONE_REQUIRED;
	socks->greeted = true;
	socks->length = 0;
	return NACRE_SOCKS_ANSWER;
}

/* Bytes of the address at "address"; 0: of no known kind. Its first byte is there if it is needed. */
static size_t
five_address_length(uint8_t kind, const uint8_t *address)
{
	switch (kind) {
	case ADDRESS_IPV4:
		return 4;
	case ADDRESS_IPV6:
		return 16;
	case ADDRESS_NAME:
		return 1u + address[0];
	default:
		return 0;
	}
}

static bool
five_take_host(struct nacre_socks *socks, const uint8_t *address)
{
	const uint8_t kind = socks->request[3];

	if (kind == ADDRESS_NAME)
		return take_name(socks, address + 1, address[0]);
	return inet_ntop(kind == ADDRESS_IPV4 ? AF_INET : AF_INET6, address, socks->host,
		   sizeof socks->host) != NULL;
}

/* VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT. */
static enum nacre_socks_step
five_request(struct nacre_socks *socks)
{
	const uint8_t *const request = socks->request, *const address = request + FIVE_HEADER;

	if (request[0] != 5)
		return refuse(socks, "its request is of another version than its greeting");
	if (socks->length <= FIVE_HEADER)
		return NACRE_SOCKS_MORE;
	const size_t length = five_address_length(request[3], address);
	if (length == 0) {
		answer_five(socks, FIVE_ADDRESS_UNKNOWN);
		return refuse(socks, "the type of its address is unknown");
	}
	if (socks->length < FIVE_HEADER + length + 2)
		return NACRE_SOCKS_MORE;
	socks->port = port_at(address + length);
	if (request[1] != COMMAND_CONNECT) {
		answer_five(socks, FIVE_COMMAND_UNKNOWN);
		return refuse(socks, "only CONNECT is supported");
	}
	if (five_take_host(socks, address))
		return NACRE_SOCKS_CONNECT;
	answer_five(socks, FIVE_FAILED);
	return refuse(socks, "the host name is empty");
}

/* Both -------------------------------------------------------------------------------------------- */

static enum nacre_socks_step
step(struct nacre_socks *socks)
{
	const uint8_t version = socks->request[0];

	if (socks->length == 0)
		return NACRE_SOCKS_MORE;
	if (socks->greeted)
		return five_request(socks);
	socks->version = version;
	if (version == 5)
		return five_greeting(socks);
	return version == 4 ? four_step(socks) : refuse(socks, "it does not speak SOCKS");
}

/* Byte by byte: a message's length is known only on its way, and what is behind it is not ours. */
enum nacre_socks_step
nacre_socks_take(struct nacre_socks *socks, struct nacre_span bytes, size_t *taken)
{
	enum nacre_socks_step result = NACRE_SOCKS_MORE;

	*taken = 0;
	socks->answer_length = 0;
	while (result == NACRE_SOCKS_MORE && *taken < bytes.length) {
		if (socks->length == sizeof socks->request)
			return refuse(socks, "its request is too long");
		socks->request[socks->length++] = bytes.data[(*taken)++];
		result = step(socks);
	}
	return result;
}

void
nacre_socks_finish(struct nacre_socks *socks, enum nacre_socks_outcome outcome)
{
	static const uint8_t codes[] = {[NACRE_SOCKS_CONNECTED] = FIVE_SUCCEEDED,
	    [NACRE_SOCKS_FAILED] = FIVE_FAILED,
	    [NACRE_SOCKS_NOT_ALLOWED] = FIVE_NOT_ALLOWED};

	if (socks->version == 5)
		answer_five(socks, codes[outcome]);
	else
		answer_four(socks, outcome == NACRE_SOCKS_CONNECTED ? FOUR_GRANTED : FOUR_REJECTED);
}
