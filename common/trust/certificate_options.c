/* From the critical options and extensions of a user certificate to the options of a key. */
#include <nacre/authorized_keys.h>
#include <nacre/pattern.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT(member)   offsetof(struct nacre_key_options, member)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool
flag_set(struct nacre_key_options *options, size_t offset, struct nacre_span value)
{
	*(bool *)(void *)((char *)options + offset) = true;
	return value.length == 0;
}

/* A text that may be there once, and holds no NUL. */
static bool
text_set(struct nacre_key_options *options, size_t offset, struct nacre_span value)
{
	char **member = (char **)(void *)((char *)options + offset);

	if (*member != NULL || value.length == 0)
		return false;
	*member = nacre_span_to_string(value);
	return *member != NULL;
}

static bool
addresses_set(struct nacre_key_options *options, size_t offset, struct nacre_span value)
{
	return text_set(options, offset, value) && nacre_address_list_strict(NULL, value) >= 0;
}

struct option {
	const char *name;
	size_t offset;
	bool (*set)(struct nacre_key_options *options, size_t offset, struct nacre_span value);
};

static const struct option critical[] = {{"force-command", AT(command), text_set},
    {"source-address", AT(source_address), addresses_set},
    {"verify-required", AT(verify_required), flag_set}};

static const struct option extensions[] = {
    {"permit-X11-forwarding", AT(permit_x11_forwarding), flag_set},
    {"permit-agent-forwarding", AT(permit_agent_forwarding), flag_set},
    {"permit-port-forwarding", AT(permit_port_forwarding), flag_set},
    {"permit-pty", AT(permit_pty), flag_set}, {"permit-user-rc", AT(permit_user_rc), flag_set},
    {"no-touch-required", AT(no_touch_required), flag_set}};

static const struct option *
option_find(const struct option *table, size_t count, struct nacre_span name)
{
	for (size_t i = 0; i < count; i++)
		if (nacre_span_equals(name, table[i].name))
			return &table[i];
	return NULL;
}

static void
note(struct nacre_buffer *notes, const char *what, struct nacre_span name, const char *problem)
{
	nacre_put_format(notes, "Certificate %s \"%.*s\" %s\n", what,
	    (int)(name.length < 100 ? name.length : 100), (const char *)name.data, problem);
}

/* All options of one kind. Those that are not known are an error where they are critical; so is a
 * bad value of those that are. */
static bool
take_all(struct nacre_key_options *options, struct nacre_span list, const struct option *table,
    size_t count, bool is_critical, struct nacre_buffer *notes)
{
	const char *what = is_critical ? "critical option" : "extension";
	struct nacre_reader reader = nacre_reader_of(list);
	struct nacre_span name, value;

	while (nacre_certificate_next_option(&reader, &name, &value)) {
		const struct option *option = option_find(table, count, name);

		if (option == NULL)
			note(notes, what, name, "is not supported");
		else if (!option->set(options, option->offset, value))
			note(notes, what, name, "has a bad value");
		else
			continue;
		if (option != NULL || is_critical)
			return false;
	}
	return nacre_reader_done(&reader);
}

int
nacre_key_options_of_certificate(const struct nacre_certificate *certificate,
    struct nacre_key_options *options, struct nacre_buffer *notes)
{
	*options = (struct nacre_key_options){.tunnel = -1};
	if (take_all(
		options, certificate->critical_options, critical, COUNT(critical), true, notes) &&
	    take_all(options, certificate->extensions, extensions, COUNT(extensions), false, notes))
		return 0;
	nacre_key_options_free(options);
	return NACRE_ERROR_REFUSED;
}
