/*
 * KEXINIT and what follows from two of them, RFC 4253 section 7.1: for each list the client's first
 * name that the server has, too.
 */
#include <crypto/random.h>
#include <transport/state.h>

#include <stdio.h>
#include <string.h>

#define COOKIE_LENGTH      16
#define CERTIFICATE_SUFFIX "-cert-v01@openssh.com"

/* What a slot is called when nothing matches, and in the log of proposals. */
static const struct {
	const char *matching, *proposal;
} slots[SLOT_COUNT] = {
    {"key exchange method", "KEX algorithms"},
    {"host key type", "host key algorithms"},
    {"cipher", "ciphers ctos"},
    {"cipher", "ciphers stoc"},
    {"MAC", "MACs ctos"},
    {"MAC", "MACs stoc"},
    {"compression method", "compression ctos"},
    {"compression method", "compression stoc"},
    {"language", "languages ctos"},
    {"language", "languages stoc"},
};

/* Puts "list" with "first" (may be empty) in front if it is in it. */
static void
put_list(struct nacre_buffer *payload, const char *list, struct nacre_span first)
{
	struct nacre_span rest = nacre_span_of(list), name;
	bool moved = first.length > 0 && nacre_list_contains(rest, first);
	bool comma = moved;

	if (moved)
		nacre_put_span(payload, first);
	while ((name = nacre_list_next(&rest)).length > 0) {
		if (moved && nacre_span_equal(name, first))
			continue;
		if (comma)
			nacre_put_byte(payload, ',');
		nacre_put_span(payload, name);
		comma = true;
	}
}

/* The name that the last exchange chose goes first: so the guess of a rekey is right. */
static struct nacre_span
slot_first(const struct transport *transport, int slot)
{
	if (transport->chosen.kex == NULL || slot > SLOT_HOST_KEY)
		return (struct nacre_span){NULL, 0};
	return nacre_span_of(
	    slot == SLOT_KEX ? transport->chosen.kex->name : transport->chosen.host_key);
}

int
kexinit_encode(struct transport *transport, bool first, bool follows, struct nacre_buffer *payload)
{
	bool client = transport->role == NACRE_CLIENT;
	uint8_t cookie[COOKIE_LENGTH];

	random_bytes(cookie, sizeof cookie);
	nacre_put_byte(payload, MESSAGE_KEXINIT);
	nacre_put_bytes(payload, cookie, sizeof cookie);
	for (int slot = 0; slot < SLOT_COUNT; slot++) {
		size_t mark = nacre_put_string_begin(payload);

		if (slot < SLOT_OWN_COUNT)
			put_list(payload, transport->lists[slot], slot_first(transport, slot));
		if (slot == SLOT_KEX && first)
			nacre_put_format(payload, ",ext-info-%c,kex-strict-%c-v00@openssh.com",
			    client ? 'c' : 's', client ? 'c' : 's');
		nacre_put_string_end(payload, mark);
	}
	nacre_put_boolean(payload, follows);
	nacre_put_u32(payload, 0);
	return payload->failed ? NACRE_ERROR_MEMORY : 0;
}

static bool
list_is_clean(struct nacre_span list)
{
	for (size_t i = 0; i < list.length; i++)
		if (list.data[i] <= 0x20 || list.data[i] >= 0x7f)
			return false;
	return true;
}

bool
kexinit_decode(struct nacre_span payload, struct kexinit *kexinit)
{
	struct nacre_reader reader = nacre_reader_of(payload);

	nacre_get_byte(&reader);
	nacre_get_bytes(&reader, COOKIE_LENGTH);
	for (int slot = 0; slot < SLOT_COUNT; slot++) {
		kexinit->lists[slot] = nacre_get_string(&reader);
		if (!list_is_clean(kexinit->lists[slot]))
			return false;
	}
	kexinit->follows = nacre_get_boolean(&reader);
	nacre_get_u32(&reader);
	return nacre_reader_done(&reader);
}

static struct nacre_span
list_first(struct nacre_span list)
{
	return nacre_list_next(&list);
}

bool
guess_agrees(const struct kexinit *client, const struct kexinit *server)
{
	for (int slot = SLOT_KEX; slot <= SLOT_HOST_KEY; slot++)
		if (!nacre_span_equal(
			list_first(client->lists[slot]), list_first(server->lists[slot])))
			return false;
	return true;
}

/* Markers in the list of key exchange methods are no methods. */
static bool
name_is_marker(struct nacre_span name)
{
	return (name.length > 9 && memcmp(name.data, "ext-info-", 9) == 0) ||
	       (name.length > 11 && memcmp(name.data, "kex-strict-", 11) == 0);
}

static struct nacre_span
match(struct nacre_span client, struct nacre_span server)
{
	struct nacre_span name;

	while ((name = nacre_list_next(&client)).length > 0)
		if (!name_is_marker(name) && nacre_list_contains(server, name))
			return name;
	return name;
}

static int
match_failed(struct transport *transport, const struct kexinit *peer, int slot)
{
	struct nacre_span offer = peer->lists[slot];

	return transport_fail(transport, NACRE_ERROR_NEGOTIATION,
	    NACRE_DISCONNECT_KEY_EXCHANGE_FAILED, "no matching %s found. Their offer: %.*s",
	    slots[slot].matching, (int)(offer.length < 800 ? offer.length : 800),
	    (const char *)offer.data);
}

/* Finds the rows of what was matched; false for a name that is offered but has none. */
static bool
choose_rows(const struct nacre_span *names, struct negotiated *chosen)
{
	struct nacre_span host_key = names[SLOT_HOST_KEY];

	chosen->kex = kex_find(names[SLOT_KEX]);
	if (chosen->kex == NULL || host_key.length >= sizeof chosen->host_key)
		return false;
	memcpy(chosen->host_key, host_key.data, host_key.length);
	chosen->host_key[host_key.length] = '\0';
	for (int way = 0; way < 2; way++) {
		chosen->cipher[way] = cipher_find(names[SLOT_CIPHER + way]);
		if (chosen->cipher[way] == NULL)
			return false;
		if (chosen->cipher[way]->tag_length == 0 &&
		    (chosen->mac[way] = mac_find(names[SLOT_MAC + way])) == NULL)
			return false;
		chosen->compress[way] = !nacre_span_equals(names[SLOT_COMPRESSION + way], "none");
	}
	return true;
}

static bool
cipher_needs_no_mac(struct nacre_span name)
{
	const struct cipher_algorithm *cipher = cipher_find(name);

	return cipher != NULL && cipher->tag_length > 0;
}

static void
log_chosen(struct transport *transport, const struct negotiated *chosen)
{
	transport_log(transport, NACRE_LOG_DEBUG1, "kex: algorithm: %s", chosen->kex->name);
	transport_log(transport, NACRE_LOG_DEBUG1, "kex: host key algorithm: %s", chosen->host_key);
	for (int i = 0; i < 2; i++) {
		int way = transport->role == NACRE_CLIENT ? 1 - i : i;

		transport_log(transport, NACRE_LOG_DEBUG1,
		    "kex: %s cipher: %s MAC: %s compression: %s",
		    way == CLIENT_TO_SERVER ? "client->server" : "server->client",
		    chosen->cipher[way]->name,
		    chosen->mac[way] != NULL ? chosen->mac[way]->name : "<implicit>",
		    chosen->compress[way] ? "zlib@openssh.com" : "none");
	}
}

static void
log_proposal(struct transport *transport, const char *whose, const struct kexinit *kexinit)
{
	transport_log(transport, NACRE_LOG_DEBUG2, "%s KEXINIT proposal", whose);
	for (int slot = 0; slot < SLOT_COUNT; slot++)
		transport_log(transport, NACRE_LOG_DEBUG2, "%s: %.*s", slots[slot].proposal,
		    (int)kexinit->lists[slot].length, (const char *)kexinit->lists[slot].data);
	transport_log(
	    transport, NACRE_LOG_DEBUG2, "first_kex_follows %d", kexinit->follows ? 1 : 0);
	transport_log(transport, NACRE_LOG_DEBUG2, "reserved 0");
}

int
negotiate(struct transport *transport, const struct kexinit *client, const struct kexinit *server,
    struct negotiated *chosen)
{
	bool is_client = transport->role == NACRE_CLIENT;
	const struct kexinit *peer = is_client ? server : client;
	struct nacre_span names[SLOT_OWN_COUNT];

	log_proposal(
	    transport, is_client ? "local client" : "local server", is_client ? client : server);
	log_proposal(transport, is_client ? "peer server" : "peer client", peer);
	for (int slot = 0; slot < SLOT_OWN_COUNT; slot++) {
		names[slot] = match(client->lists[slot], server->lists[slot]);
		if (slot >= SLOT_MAC && slot < SLOT_COMPRESSION &&
		    cipher_needs_no_mac(names[slot - SLOT_MAC + SLOT_CIPHER]))
			continue;
		if (names[slot].length == 0)
			return match_failed(transport, peer, slot);
	}
	*chosen = (struct negotiated){0};
	if (!choose_rows(names, chosen))
		return transport_fail(transport, NACRE_ERROR_UNSUPPORTED,
		    NACRE_DISCONNECT_KEY_EXCHANGE_FAILED,
		    "an algorithm that both sides offer is not supported here");
	log_chosen(transport, chosen);
	return 0;
}

/* Names of host key algorithms -------------------------------------------------------------- */

/* "name" without the suffix of certificates; *certificate tells whether it had it. Empty for a name
 * that is too long to be one of ours. */
static struct nacre_span
certificate_strip(struct nacre_span name, bool *certificate)
{
	size_t suffix = sizeof CERTIFICATE_SUFFIX - 1;

	*certificate = name.length > suffix &&
		       memcmp(name.data + name.length - suffix, CERTIFICATE_SUFFIX, suffix) == 0;
	if (*certificate)
		name.length -= suffix;
	if (name.length >= ALGORITHM_NAME_MAX - sizeof CERTIFICATE_SUFFIX)
		name.length = 0;
	return name;
}

static bool
span_begins(struct nacre_span span, const char *text)
{
	size_t length = strlen(text);

	return span.length >= length && memcmp(span.data, text, length) == 0;
}

static void
name_make(char name[ALGORITHM_NAME_MAX], struct nacre_span base, const char *suffix)
{
	snprintf(
	    name, ALGORITHM_NAME_MAX, "%.*s%s", (int)base.length, (const char *)base.data, suffix);
}

void
host_key_format(struct nacre_span algorithm, char format[ALGORITHM_NAME_MAX])
{
	bool certificate;
	struct nacre_span base = certificate_strip(algorithm, &certificate);

	if (span_begins(base, "rsa-sha2-"))
		base = nacre_span_of("ssh-rsa");
	name_make(format, base, certificate ? CERTIFICATE_SUFFIX : "");
}

void
host_key_signature_name(struct nacre_span algorithm, char name[ALGORITHM_NAME_MAX])
{
	bool certificate;
	struct nacre_span base = certificate_strip(algorithm, &certificate);

	/* sk-ssh-ed25519-cert-v01@openssh.com signs as sk-ssh-ed25519@openssh.com. */
	bool private_name =
	    certificate && (span_begins(base, "sk-") || span_begins(base, "ssh-mldsa"));

	name_make(name, base, private_name ? "@openssh.com" : "");
}
