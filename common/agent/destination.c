/* Destination constraints: read, and asked whether a way of forwarding is one of theirs. */
#include <agent/destination.h>

#include <nacre/certificate.h>
#include <nacre/pattern.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DESTINATIONS_MAX 1024
#define KEYS_MAX         1024

static void
host_free(struct destination_host *host)
{
	for (size_t i = 0; i < host->key_count; i++)
		nacre_key_free(host->keys[i].key);
	free(host->keys);
	free(host->user);
	free(host->name);
}

void
destinations_free(struct destinations *destinations)
{
	for (size_t i = 0; i < destinations->count; i++) {
		host_free(&destinations->list[i].from);
		host_free(&destinations->list[i].to);
	}
	free(destinations->list);
	*destinations = (struct destinations){0};
}

/* NULL for an empty text. False for one with a NUL in it, or without memory. */
static bool
text_read(struct nacre_reader *reader, char **text)
{
	const struct nacre_span span = nacre_get_string(reader);

	*text = NULL;
	if (reader->failed || span.length == 0)
		return !reader->failed;
	*text = nacre_span_to_string(span);
	return *text != NULL;
}

static int
host_key_read(struct nacre_reader *reader, struct destination_host *host)
{
	const struct nacre_span blob = nacre_get_string(reader);
	const bool authority = nacre_get_boolean(reader);
	struct destination_key *more;
	struct nacre_key *key;
	int error;

	if (reader->failed || host->key_count == KEYS_MAX)
		return NACRE_ERROR_FORMAT;
	if ((error = nacre_key_from_blob(blob, &key)) != 0)
		return error;
	more = reallocarray(host->keys, host->key_count + 1, sizeof *more);
	if (more == NULL) {
		nacre_key_free(key);
		return NACRE_ERROR_MEMORY;
	}
	host->keys = more;
	host->keys[host->key_count++] = (struct destination_key){key, authority};
	return 0;
}

/* user, name, reserved, then keys to the end. */
static int
host_read(struct nacre_span content, struct destination_host *host)
{
	struct nacre_reader reader = nacre_reader_of(content);
	int error = 0;

	if (!text_read(&reader, &host->user) || !text_read(&reader, &host->name) ||
	    nacre_get_string(&reader).length > 0 || reader.failed)
		return NACRE_ERROR_FORMAT;
	while (reader.length > 0 && error == 0)
		error = host_key_read(&reader, host);
	return error;
}

/* A constraint that leaves out what it is about would allow too much. */
static bool
is_complete(const struct destination *destination)
{
	const struct destination_host *from = &destination->from, *to = &destination->to;

	return from->user == NULL && (from->name == NULL) == (from->key_count == 0) &&
	       to->name != NULL && to->key_count > 0;
}

static int
destination_read(struct nacre_span content, struct destination *destination)
{
	struct nacre_reader reader = nacre_reader_of(content);
	const struct nacre_span from = nacre_get_string(&reader), to = nacre_get_string(&reader);
	int error;

	if (nacre_get_string(&reader).length > 0 || !nacre_reader_done(&reader))
		return NACRE_ERROR_FORMAT;
	if ((error = host_read(from, &destination->from)) != 0 ||
	    (error = host_read(to, &destination->to)) != 0)
		return error;
	return is_complete(destination) ? 0 : NACRE_ERROR_FORMAT;
}

int
destinations_read(struct nacre_span content, struct destinations *destinations)
{
	struct nacre_reader reader = nacre_reader_of(content);
	struct destination *more;
	int error = 0;

	while (reader.length > 0 && error == 0) {
		const struct nacre_span one = nacre_get_string(&reader);

		if (reader.failed || destinations->count == DESTINATIONS_MAX)
			return NACRE_ERROR_FORMAT;
		more = reallocarray(
		    destinations->list, destinations->count + 1, sizeof *destinations->list);
		if (more == NULL)
			return NACRE_ERROR_MEMORY;
		destinations->list = more;
		more[destinations->count] = (struct destination){0};
		error = destination_read(one, &more[destinations->count++]);
	}
	if (error == 0 && destinations->count == 0)
		return NACRE_ERROR_FORMAT;
	return error;
}

static bool
certificate_is_for(const struct nacre_certificate *certificate, const char *name)
{
	struct nacre_reader principals = nacre_reader_of(certificate->principals);
	struct nacre_span principal;
	const char *reason;

	if (nacre_certificate_check(
		certificate, NACRE_CERTIFICATE_HOST, NULL, (uint64_t)time(NULL), &reason) != 0)
		return false;
	while (nacre_certificate_next_principal(&principals, &principal))
		if (nacre_pattern_match_host(nacre_span_of(name), principal))
			return true;
	return false;
}

/* A host shows its key, or a certificate for its name by an authority that the constraint names. */
static bool
host_key_fits(const struct nacre_key *shown, const struct destination_host *host)
{
	const struct nacre_certificate *certificate = nacre_key_certificate(shown);

	for (size_t i = 0; i < host->key_count; i++) {
		const struct destination_key *known = &host->keys[i];

		if (!known->authority) {
			if (nacre_key_equal(shown, known->key))
				return true;
			continue;
		}
		if (certificate != NULL && nacre_key_equal(certificate->authority, known->key) &&
		    certificate_is_for(certificate, host->name))
			return true;
	}
	return false;
}

static bool
user_fits(const struct destination_host *host, const char *user)
{
	return host->user == NULL || user == NULL ||
	       nacre_pattern_match(nacre_span_of(user), nacre_span_of(host->user));
}

/* Is there a constraint from "from" (NULL: this host) to "to" (NULL: anywhere)? */
static bool
hop_permitted(const struct destinations *destinations, const struct nacre_key *from,
    const struct nacre_key *to, const char *user, const char **host)
{
	for (size_t i = 0; i < destinations->count; i++) {
		const struct destination *one = &destinations->list[i];
		const bool here = one->from.name == NULL;

		if (from == NULL ? !here : here || !host_key_fits(from, &one->from))
			continue;
		if (to != NULL && (!host_key_fits(to, &one->to) || !user_fits(&one->to, user)))
			continue;
		if (host != NULL)
			*host = one->to.name;
		return true;
	}
	return false;
}

bool
destinations_permit(const struct destinations *destinations, const struct destination_hop *hops,
    size_t count, const char *user, const char **host)
{
	const struct nacre_key *from = NULL;

	if (host != NULL)
		*host = NULL;
	if (destinations->count == 0)
		return true;
	for (size_t i = 0; i < count; i++) {
		const bool last = i + 1 == count;

		/* Nobody signs for a hop that only forwards, or forwards behind one that signs. */
		if (last ? hops[i].forwarding && user != NULL : !hops[i].forwarding)
			return false;
		if (!hop_permitted(destinations, from, hops[i].host_key, last ? user : NULL, host))
			return false;
		from = hops[i].host_key;
	}
	/* Forwarded to a host from where no way leads on, it is of no use there. */
	if (count > 0 && hops[count - 1].forwarding && user == NULL)
		return hop_permitted(destinations, from, NULL, NULL, NULL);
	return true;
}
