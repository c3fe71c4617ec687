/* Numeric addresses against lists of patterns and of ADDRESS/MASKLEN (CIDR). */
#include <nacre/pattern.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_TEXT_MAX 128

struct address {
	int family;
	unsigned bits;
	unsigned offset; /* how many bits more it had as it was written */
	uint8_t bytes[16];
};

/* An IPv4 address that is mapped into IPv6 counts as IPv4. */
static void
address_unmap(struct address *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (address->family != AF_INET6 || memcmp(address->bytes, mapped, sizeof mapped) != 0)
		return;
	memmove(address->bytes, address->bytes + sizeof mapped, 4);
	address->family = AF_INET;
	address->bits = 32;
	address->offset = 96;
}

static bool
address_parse(const char *text, struct address *address)
{
	char copy[ADDRESS_TEXT_MAX];
	char *scope;

	*address = (struct address){.family = AF_INET, .bits = 32};
	if (inet_pton(AF_INET, text, address->bytes) == 1)
		return true;
	if (strlen(text) >= sizeof copy)
		return false;
	memcpy(copy, text, strlen(text) + 1);
	if ((scope = strchr(copy, '%')) != NULL)
		*scope = '\0';
	*address = (struct address){.family = AF_INET6, .bits = 128};
	if (inet_pton(AF_INET6, copy, address->bytes) != 1)
		return false;
	address_unmap(address);
	return true;
}

static bool
address_bit(const struct address *address, unsigned bit)
{
	return (address->bytes[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

/* "ADDRESS/MASKLEN" or "ADDRESS". 1: read; 0: not an address; NACRE_ERROR_FORMAT: the mask does not
 * fit, or the address has bits set behind it. */
static int
network_parse(struct nacre_span text, struct address *network, unsigned *prefix)
{
	char copy[ADDRESS_TEXT_MAX];
	char *slash, *end;
	unsigned long length;

	if (text.length == 0 || text.length >= sizeof copy)
		return 0;
	memcpy(copy, text.data, text.length);
	copy[text.length] = '\0';
	if ((slash = strchr(copy, '/')) != NULL)
		*slash++ = '\0';
	if (!address_parse(copy, network))
		return 0;
	*prefix = network->bits;
	if (slash == NULL)
		return 1;
	length = strtoul(slash, &end, 10);
	if (*slash < '0' || *slash > '9' || *end != '\0' || length < network->offset ||
	    length > network->offset + network->bits)
		return NACRE_ERROR_FORMAT;
	*prefix = (unsigned)length - network->offset;
	for (unsigned bit = *prefix; bit < network->bits; bit++)
		if (address_bit(network, bit))
			return NACRE_ERROR_FORMAT;
	return 1;
}

static bool
network_contains(const struct address *network, unsigned prefix, const struct address *address)
{
	if (network->family != address->family)
		return false;
	for (unsigned bit = 0; bit < prefix; bit++)
		if (address_bit(network, bit) != address_bit(address, bit))
			return false;
	return true;
}

/* One pattern: 1, 0 or NACRE_ERROR_FORMAT. */
static int
address_matches(
    const char *text, const struct address *address, struct nacre_span pattern, bool strict)
{
	struct address network;
	unsigned prefix;
	int result = network_parse(pattern, &network, &prefix);

	if (result < 0 || (result == 0 && strict))
		return NACRE_ERROR_FORMAT;
	if (text == NULL)
		return 0;
	if (result > 0)
		return address->family != 0 && network_contains(&network, prefix, address);
	return nacre_pattern_match_host(nacre_span_of(text), pattern);
}

static int
address_list(const char *text, struct nacre_span list, bool strict)
{
	struct address address = {0};
	int match = NACRE_MATCH_NONE;

	if (text != NULL && !address_parse(text, &address))
		address.family = 0;
	while (list.length > 0) {
		struct nacre_span pattern = nacre_list_next(&list);
		bool negated = pattern.length > 0 && pattern.data[0] == '!' && !strict;
		int result;

		if (negated) {
			pattern.data++;
			pattern.length--;
		}
		if (pattern.length == 0)
			return NACRE_ERROR_FORMAT;
		result = address_matches(text, &address, pattern, strict);
		if (result < 0)
			return result;
		if (result > 0 && negated)
			match = NACRE_MATCH_NEGATED;
		else if (result > 0 && match == NACRE_MATCH_NONE)
			match = NACRE_MATCH_FOUND;
	}
	return match;
}

int
nacre_address_list(const char *address, struct nacre_span list)
{
	return address_list(address, list, false);
}

int
nacre_address_list_strict(const char *address, struct nacre_span list)
{
	return address_list(address, list, true);
}

int
nacre_host_and_address_list(const char *host, const char *address, struct nacre_span list)
{
	int by_address = nacre_address_list(address, list);
	int by_name;

	if (by_address == NACRE_ERROR_FORMAT || by_address == NACRE_MATCH_NEGATED)
		return by_address;
	by_name = host == NULL ? NACRE_MATCH_NONE
			       : (int)nacre_pattern_list(nacre_span_of(host), list, true);
	if (by_name == NACRE_MATCH_NEGATED)
		return by_name;
	return by_name == NACRE_MATCH_FOUND ? by_name : by_address;
}
