/* SSH_MSG_EXT_INFO, RFC 8308: what a server tells behind its first NEWKEYS, and what came. */
#include <transport/state.h>

#include <nacre/key.h>

#define EXTENSIONS_MAX  64
#define EXTENSION_BYTES ((size_t)64 * 1024)

static bool
peer_wants_extensions(const struct transport *transport)
{
	return nacre_list_contains(
	    transport_peer_kex_algorithms(transport), nacre_span_of("ext-info-c"));
}

/* What signatures may be made with: clients look for the plain names where only those of
 * certificates are accepted, too. */
static void
put_signature_algorithms(const char *accepted, struct nacre_buffer *message)
{
	struct nacre_span list = nacre_span_of(accepted), name;
	struct nacre_buffer names = {0};

	nacre_put_format(&names, "%s", accepted);
	while ((name = nacre_list_next(&list)).length > 0) {
		const char *plain = nacre_signature_algorithm_plain(name);

		if (plain != NULL &&
		    !nacre_list_contains(nacre_buffer_span(&names), nacre_span_of(plain)))
			nacre_put_format(&names, ",%s", plain);
	}
	nacre_put_string_span(message, nacre_buffer_span(&names));
	nacre_buffer_free(&names);
}

int
extension_send(struct transport *transport)
{
	struct nacre_buffer *message;

	if (transport->role != NACRE_SERVER || !peer_wants_extensions(transport))
		return 0;
	message = transport_begin(transport, MESSAGE_EXT_INFO);
	nacre_put_u32(message, 4);
	nacre_put_cstring(message, "server-sig-algs");
	put_signature_algorithms(transport->server_signature_algorithms, message);
	nacre_put_cstring(message, "publickey-hostbound@openssh.com");
	nacre_put_cstring(message, "0");
	nacre_put_cstring(message, "ping@openssh.com");
	nacre_put_cstring(message, "0");
	nacre_put_cstring(message, EXTENSION_EARLY_SESSION);
	nacre_put_cstring(message, "0");
	transport_log(transport, NACRE_LOG_DEBUG1, "Sending SSH2_MSG_EXT_INFO");
	return output_urgent(transport);
}

bool
transport_early_session_announced(const struct transport *transport)
{
	return transport->role == NACRE_SERVER && peer_wants_extensions(transport);
}

static int
extension_malformed(struct transport *transport)
{
	return transport_fail(transport, NACRE_ERROR_FORMAT, NACRE_DISCONNECT_PROTOCOL_ERROR,
	    "malformed SSH2_MSG_EXT_INFO");
}

/* A later EXT_INFO takes the place of an earlier one (RFC 8308 section 2.4). */
int
extension_receive(struct transport *transport, struct nacre_reader *payload)
{
	uint32_t count = nacre_get_u32(payload);

	transport_log(transport, NACRE_LOG_DEBUG1, "SSH2_MSG_EXT_INFO received");
	if (count > EXTENSIONS_MAX || payload->length > EXTENSION_BYTES)
		return extension_malformed(transport);
	nacre_buffer_clear(&transport->extensions);
	for (uint32_t i = 0; i < count; i++) {
		struct nacre_span name = nacre_get_string(payload);
		struct nacre_span value = nacre_get_string(payload);

		nacre_put_string_span(&transport->extensions, name);
		nacre_put_string_span(&transport->extensions, value);
		transport_log(transport, NACRE_LOG_DEBUG1, "kex_input_ext_info: %.*s=<%.*s>",
		    (int)name.length, (const char *)name.data, (int)value.length,
		    (const char *)value.data);
	}
	return nacre_reader_done(payload) ? 0 : extension_malformed(transport);
}

bool
transport_peer_extension(
    const struct transport *transport, const char *name, struct nacre_span *value)
{
	struct nacre_reader reader = nacre_reader_of(nacre_buffer_span(&transport->extensions));

	while (reader.length > 0) {
		struct nacre_span key = nacre_get_string(&reader);
		struct nacre_span content = nacre_get_string(&reader);

		if (!nacre_span_equals(key, name))
			continue;
		if (value != NULL)
			*value = content;
		return true;
	}
	return false;
}
