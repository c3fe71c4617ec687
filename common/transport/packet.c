/*
 * The binary packet protocol, RFC 4253 section 6: seals payloads into packets and opens received
 * packets, both in place. Three kinds of protection: an AEAD cipher, a MAC over the ciphertext
 * (-etm), a MAC over the plaintext; and none before the first NEWKEYS.
 */
#include <crypto/random.h>
#include <transport/state.h>

#include <sodium.h>
#include <string.h>

#define BLOCK_MIN   ((size_t)8)
#define PADDING_MIN ((size_t)4)

void
packet_side_free(struct packet_side *side)
{
	cipher_free(side->cipher);
	mac_free(side->mac);
	compression_free(side->compression);
	sodium_memzero(side, sizeof *side);
}

static size_t
side_block(const struct packet_side *side)
{
	if (side->cipher == NULL || side->cipher_algorithm->block_length < BLOCK_MIN)
		return BLOCK_MIN;
	return side->cipher_algorithm->block_length;
}

static bool
side_is_aead(const struct packet_side *side)
{
	return side->cipher != NULL && side->cipher_algorithm->tag_length > 0;
}

/* A cipher with a MAC over the plaintext: the length field is encrypted with the first block. */
static bool
side_is_classic(const struct packet_side *side)
{
	return side->cipher != NULL && side->mac != NULL && !side->mac_algorithm->encrypt_then_mac;
}

static size_t
side_tag(const struct packet_side *side)
{
	if (side_is_aead(side))
		return side->cipher_algorithm->tag_length;
	return side->mac != NULL ? side->mac_algorithm->tag_length : 0;
}

static void
u32_put(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 24);
	bytes[1] = (uint8_t)(value >> 16);
	bytes[2] = (uint8_t)(value >> 8);
	bytes[3] = (uint8_t)value;
}

static uint32_t
u32_get(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

uint64_t
packet_side_limit(const struct transport *transport, const struct packet_side *side)
{
	uint64_t limit = transport->rekey_bytes;

	if (limit == 0 || limit > side->cipher_algorithm->rekey_bytes)
		limit = side->cipher_algorithm->rekey_bytes;
	return limit;
}

/* Counts a packet and tells whether the keys are worn out. */
static bool
side_count(const struct transport *transport, struct packet_side *side, size_t length)
{
	side->sequence++;
	side->packets++;
	side->bytes += length;
	return side->cipher != NULL && (side->bytes >= packet_side_limit(transport, side) ||
					   side->packets >= PACKETS_REKEY);
}

static int
rekey_if_due(struct transport *transport, bool due)
{
	if (!due || transport->exchange != NULL || !transport->established ||
	    !transport->authenticated)
		return 0;
	return exchange_start(transport);
}

/* Sealing ----------------------------------------------------------------------------------- */

/* Random bytes by the handful: a system call for each packet would show. */
static void
padding_fill(struct transport *transport, uint8_t *padding, size_t length)
{
	if (transport->padding_left < length) {
		random_bytes(transport->padding, sizeof transport->padding);
		transport->padding_left = sizeof transport->padding;
	}
	transport->padding_left -= length;
	memcpy(padding, transport->padding + transport->padding_left, length);
}

static int
protect_aead(struct packet_side *side, uint8_t *packet, size_t length)
{
	return cipher_seal(side->cipher, side->sequence, packet, length);
}

static int
protect_mac(struct packet_side *side, uint8_t *packet, size_t length)
{
	struct nacre_span whole = {packet, length};
	int error;

	if (side->mac_algorithm->encrypt_then_mac) {
		if ((error = cipher_crypt(side->cipher, packet + 4, length - 4)) != 0)
			return error;
		return mac_compute(side->mac, side->sequence, whole, packet + length);
	}
	if ((error = mac_compute(side->mac, side->sequence, whole, packet + length)) != 0)
		return error;
	return cipher_crypt(side->cipher, packet, length);
}

static int
protect(struct packet_side *side, uint8_t *packet, size_t length)
{
	if (side->cipher == NULL)
		return 0;
	if (side_is_aead(side))
		return protect_aead(side, packet, length);
	return protect_mac(side, packet, length);
}

int
packet_seal(struct transport *transport, uint8_t *packet, size_t payload_length)
{
	struct packet_side *side = &transport->send;
	size_t block = side_block(side);
	bool length_apart = side->cipher != NULL && !side_is_classic(side);
	size_t aligned = payload_length + (length_apart ? 1 : PACKET_HEADER);
	size_t padding = block - aligned % block;
	size_t length;
	int error;

	if (padding < PADDING_MIN)
		padding += block;
	length = PACKET_HEADER + payload_length + padding;
	u32_put(packet, (uint32_t)(length - 4));
	packet[4] = (uint8_t)padding;
	padding_fill(transport, packet + PACKET_HEADER + payload_length, padding);
	if ((error = protect(side, packet, length)) != 0)
		return transport_fail(transport, error, NACRE_DISCONNECT_BY_APPLICATION,
		    "encrypting a packet: %s", nacre_error_string(error));
	length += side_tag(side);
	nacre_buffer_added(&transport->output, length);
	return rekey_if_due(transport, side_count(transport, side, length));
}

/* Opening ----------------------------------------------------------------------------------- */

static int
fail_mac(struct transport *transport)
{
	return transport_fail(transport, NACRE_ERROR_INTEGRITY, NACRE_DISCONNECT_MAC_ERROR,
	    "Corrupted MAC on input.");
}

static int
discard_go_on(struct transport *transport)
{
	struct input *input = &transport->input;
	size_t held = input->end - input->start;

	if (held >= input->discard)
		return fail_mac(transport);
	input->discard -= held;
	input_consume(input, held);
	return 0;
}

/*
 * With CBC and a MAC over the plaintext, whoever can see after how many bytes we give up learns
 * decrypted bits. So a wrong length looks like a wrong MAC of a packet of the largest size.
 */
static int
discard_begin(struct transport *transport)
{
	transport->input.discard = PACKET_LIMIT;
	return discard_go_on(transport);
}

static bool
cipher_is_chained(const struct packet_side *side)
{
	const char *name = side->cipher_algorithm->name;
	size_t length = strlen(name);

	return length > 4 && strcmp(name + length - 4, "-cbc") == 0;
}

static int
length_wrong(struct transport *transport, uint32_t length)
{
	const struct packet_side *side = &transport->receive;

	if (side_is_classic(side) && cipher_is_chained(side))
		return discard_begin(transport);
	return transport_fail(transport, NACRE_ERROR_INTEGRITY, NACRE_DISCONNECT_PROTOCOL_ERROR,
	    "Bad packet length %u.", length);
}

static bool
length_fits(const struct packet_side *side, uint32_t length)
{
	size_t block = side_block(side);
	size_t aligned =
	    side->cipher == NULL || side_is_classic(side) ? (size_t)length + 4 : length;

	return length >= 1 + PADDING_MIN && aligned % block == 0 && aligned >= block &&
	       length <= (side->cipher == NULL ? PACKET_LIMIT_CLEAR : PACKET_LIMIT);
}

/* Decrypts what must be for it and reads the packet's length. */
static int
head_open(struct packet_side *side, uint8_t *packet, uint32_t *length)
{
	int error = 0;

	if (side_is_aead(side))
		return cipher_packet_length(side->cipher, side->sequence, packet, length);
	if (side_is_classic(side))
		error = cipher_crypt(side->cipher, packet, side_block(side));
	*length = u32_get(packet);
	return error;
}

/* 1 when input.packet_length is known. */
static int
head_read(struct transport *transport)
{
	struct input *input = &transport->input;
	struct packet_side *side = &transport->receive;
	size_t head = side_is_classic(side) ? side_block(side) : 4;
	uint32_t length = 0;
	int error;

	if (input->packet_length != 0)
		return 1;
	if (input->end - input->start < head)
		return 0;
	if ((error = head_open(side, input->data + input->start, &length)) != 0)
		return transport_fail(transport, error, NACRE_DISCONNECT_PROTOCOL_ERROR,
		    "decrypting a packet: %s", nacre_error_string(error));
	if (!length_fits(side, length))
		return length_wrong(transport, length);
	input->packet_length = length;
	input->wanted = 4 + (size_t)length + side_tag(side);
	return 1;
}

static int
unprotect_mac(struct packet_side *side, uint8_t *packet, size_t length)
{
	struct nacre_span whole = {packet, length};
	size_t block = side_block(side);
	int error;

	if (side->mac_algorithm->encrypt_then_mac) {
		error = mac_verify(side->mac, side->sequence, whole, packet + length);
		if (error != 0)
			return error;
		return cipher_crypt(side->cipher, packet + 4, length - 4);
	}
	if (length > block &&
	    (error = cipher_crypt(side->cipher, packet + block, length - block)) != 0)
		return error;
	return mac_verify(side->mac, side->sequence, whole, packet + length);
}

static int
unprotect(struct packet_side *side, uint8_t *packet, size_t length)
{
	if (side->cipher == NULL)
		return 0;
	if (side_is_aead(side))
		return cipher_open(side->cipher, side->sequence, packet, length);
	return unprotect_mac(side, packet, length);
}

static int
payload_inflate(struct transport *transport, struct nacre_span *payload)
{
	int error;

	nacre_buffer_clear(&transport->inflated);
	error = compression_inflate(&transport->receive, *payload, &transport->inflated);
	if (error != 0)
		return transport_fail(transport, error, NACRE_DISCONNECT_COMPRESSION_ERROR,
		    "decompressing a packet: %s", nacre_error_string(error));
	*payload = nacre_buffer_span(&transport->inflated);
	return 0;
}

/* Cuts the payload out of the plaintext. */
static int
payload_find(struct transport *transport, const uint8_t *packet, uint32_t packet_length,
    struct nacre_span *payload)
{
	size_t padding = packet[4];

	if (padding < PADDING_MIN || padding + 1 > packet_length)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "Corrupted padlen %zu on input.", padding);
	*payload = (struct nacre_span){packet + PACKET_HEADER, packet_length - padding - 1};
	if (transport->receive.compressing && payload_inflate(transport, payload) != 0)
		return NACRE_ERROR_PROTOCOL;
	if (payload->length == 0)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "packet without a message type");
	return 1;
}

static int
body_open(struct transport *transport, struct nacre_span *payload)
{
	struct input *input = &transport->input;
	struct packet_side *side = &transport->receive;
	uint8_t *packet = input->data + input->start;
	uint32_t packet_length = input->packet_length;
	size_t total = input->wanted;
	int error;

	if ((error = unprotect(side, packet, 4 + (size_t)packet_length)) != 0)
		return error == NACRE_ERROR_INTEGRITY
			   ? fail_mac(transport)
			   : transport_fail(transport, error, NACRE_DISCONNECT_BY_APPLICATION,
				 "decrypting a packet: %s", nacre_error_string(error));
	input_consume(input, total);
	if (side->packets >= UINT32_MAX)
		return transport_fail(transport, NACRE_ERROR_PROTOCOL,
		    NACRE_DISCONNECT_PROTOCOL_ERROR, "too many packets without new keys");
	if (rekey_if_due(transport, side_count(transport, side, total)) != 0)
		return NACRE_ERROR_PROTOCOL;
	return payload_find(transport, packet, packet_length, payload);
}

int
packet_open(struct transport *transport, struct nacre_span *payload)
{
	struct input *input = &transport->input;
	int known;

	if (input->discard > 0)
		return discard_go_on(transport);
	if ((known = head_read(transport)) <= 0)
		return known;
	if (input->end - input->start < input->wanted)
		return 0;
	return body_open(transport, payload);
}
