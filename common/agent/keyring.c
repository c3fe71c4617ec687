/* The keys that an agent holds: kept, found, expired, wiped. */
#include <agent/keyring.h>

#include <stdlib.h>
#include <string.h>

/* What an entry takes in the listing beside its blob and comment: two lengths. */
#define LISTING_OVERHEAD 8
#define LISTING_START    5

int
nacre_keyring_new(struct nacre_keyring **keyring)
{
	struct nacre_keyring *made = calloc(1, sizeof *made);

	if (made == NULL)
		return NACRE_ERROR_MEMORY;
	made->listing_length = LISTING_START;
	if (nacre_shield_new(&made->shield) != 0) {
		free(made);
		return NACRE_ERROR_MEMORY;
	}
	*keyring = made;
	return 0;
}

void
nacre_keyring_free(struct nacre_keyring *keyring)
{
	if (keyring == NULL)
		return;
	nacre_keyring_remove_all(keyring);
	nacre_shield_free(keyring->shield);
	free(keyring->applications);
	free(keyring);
}

void
nacre_keyring_allow_remote_providers(struct nacre_keyring *keyring)
{
	keyring->remote_providers = true;
}

int
nacre_keyring_allow_applications(struct nacre_keyring *keyring, const char *patterns)
{
	free(keyring->applications);
	keyring->applications = patterns != NULL ? strdup(patterns) : NULL;
	keyring->any_application = patterns == NULL;
	return patterns == NULL || keyring->applications != NULL ? 0 : NACRE_ERROR_MEMORY;
}

void
nacre_keyring_default_lifetime(struct nacre_keyring *keyring, uint32_t seconds)
{
	keyring->default_lifetime = seconds;
}

size_t
nacre_keyring_count(const struct nacre_keyring *keyring)
{
	return keyring->count;
}

bool
nacre_keyring_has_provider(const struct nacre_keyring *keyring, const char *path)
{
	for (const struct keyring_entry *entry = keyring->first; entry != NULL; entry = entry->next)
		if (entry->home == KEY_ON_TOKEN && strcmp(entry->provider, path) == 0)
			return true;
	return false;
}

static size_t
entry_listing_length(const struct keyring_entry *entry)
{
	return LISTING_OVERHEAD + nacre_buffer_length(&entry->blob) + strlen(entry->comment);
}

void
keyring_entry_clear(struct keyring_entry *entry)
{
	nacre_key_free(entry->key);
	nacre_buffer_free(&entry->blob);
	free(entry->provider);
	free(entry->comment);
	destinations_free(&entry->destinations);
	keyring_use_free(&entry->use);
}

/* Takes the entry that *link points to out of the list and wipes it. */
static void
entry_unlink(struct nacre_keyring *keyring, struct keyring_entry **link)
{
	struct keyring_entry *entry = *link;

	*link = entry->next;
	keyring->count--;
	keyring->listing_length -= entry_listing_length(entry);
	keyring_entry_clear(entry);
	free(entry);
}

struct keyring_entry *
keyring_find(const struct nacre_keyring *keyring, struct nacre_span blob)
{
	for (struct keyring_entry *entry = keyring->first; entry != NULL; entry = entry->next)
		if (nacre_span_equal(nacre_buffer_span(&entry->blob), blob))
			return entry;
	return NULL;
}

bool
keyring_remove(struct nacre_keyring *keyring, struct nacre_span blob)
{
	for (struct keyring_entry **link = &keyring->first; *link != NULL; link = &(*link)->next) {
		if (!nacre_span_equal(nacre_buffer_span(&(*link)->blob), blob))
			continue;
		entry_unlink(keyring, link);
		return true;
	}
	return false;
}

bool
keyring_remove_provider(struct nacre_keyring *keyring, const char *provider)
{
	struct keyring_entry **link = &keyring->first;
	bool removed = false;

	while (*link != NULL) {
		if ((*link)->home != KEY_ON_TOKEN || strcmp((*link)->provider, provider) != 0) {
			link = &(*link)->next;
			continue;
		}
		entry_unlink(keyring, link);
		removed = true;
	}
	return removed;
}

/* The list of all keys must fit in one message: that bounds how many there can be. */
int
keyring_insert(struct nacre_keyring *keyring, const struct keyring_entry *entry)
{
	size_t length = entry_listing_length(entry);
	struct keyring_entry *made, **link;

	keyring_remove(keyring, nacre_buffer_span(&entry->blob));
	if (length > NACRE_AGENT_MESSAGE_MAX - keyring->listing_length ||
	    (made = malloc(sizeof *made)) == NULL)
		return NACRE_ERROR_MEMORY;
	*made = *entry;
	made->next = NULL;
	for (link = &keyring->first; *link != NULL; link = &(*link)->next)
		;
	*link = made;
	keyring->count++;
	keyring->listing_length += length;
	return 0;
}

void
nacre_keyring_remove_all(struct nacre_keyring *keyring)
{
	while (keyring->first != NULL)
		entry_unlink(keyring, &keyring->first);
}

uint64_t
nacre_keyring_deadline(const struct nacre_keyring *keyring)
{
	uint64_t deadline = UINT64_MAX;

	for (const struct keyring_entry *entry = keyring->first; entry != NULL; entry = entry->next)
		if (entry->expires < deadline)
			deadline = entry->expires;
	return deadline;
}

void
nacre_keyring_expire(struct nacre_keyring *keyring, uint64_t now)
{
	struct keyring_entry **link = &keyring->first;

	while (*link != NULL) {
		if ((*link)->expires <= now)
			entry_unlink(keyring, link);
		else
			link = &(*link)->next;
	}
}
