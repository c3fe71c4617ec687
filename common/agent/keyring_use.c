/*
 * What keys were used for: told to the program, which may write it down, remembered for each key,
 * and listed to clients on this host (key-usage@nacre).
 */
#include <agent/keyring.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *
copy_or_null(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

void
keyring_use_free(struct keyring_use *use)
{
	free(use->user);
	free(use->host);
	free(use->process);
	nacre_buffer_free(&use->host_key);
	*use = (struct keyring_use){0};
}

void
keyring_use_forget(struct nacre_keyring_client *client)
{
	client->used = false;
	nacre_buffer_free(&client->use_blob);
	nacre_buffer_free(&client->use_host_key);
	free(client->use_comment);
	free(client->use_user);
	free(client->use_host);
	client->use_comment = client->use_user = client->use_host = NULL;
}

/* The host at the end: that of the login itself, else the one the connection was bound to last. */
static void
host_key_put(const struct nacre_keyring_client *client, const struct keyring_purpose *purpose,
    struct nacre_buffer *blob)
{
	if (purpose->host_key.length > 0)
		nacre_put_span(blob, purpose->host_key);
	else if (client->binding_count > 0)
		nacre_key_put_blob(
		    client->bindings[client->binding_count - 1].host_key, false, blob);
}

static void
entry_note(const struct nacre_keyring_client *client, struct keyring_entry *entry)
{
	const uint32_t count = entry->use.count;

	keyring_use_free(&entry->use);
	entry->use = (struct keyring_use){.time = (uint64_t)time(NULL),
	    .count = count + 1,
	    .user = copy_or_null(client->use_user),
	    .host = copy_or_null(client->use_host),
	    .process = copy_or_null(client->process),
	    .pid = client->pid};
	nacre_put_span(&entry->use.host_key, nacre_buffer_span(&client->use_host_key));
}

void
keyring_use_note(struct nacre_keyring_client *client, struct keyring_entry *entry,
    const struct keyring_purpose *purpose, bool made)
{
	keyring_use_forget(client);
	nacre_put_span(&client->use_blob, nacre_buffer_span(&entry->blob));
	host_key_put(client, purpose, &client->use_host_key);
	client->use_comment = copy_or_null(entry->comment);
	client->use_user = copy_or_null(purpose->user);
	client->use_host = copy_or_null(purpose->host);
	client->used = true;
	client->use_made = made;
	if (made)
		entry_note(client, entry);
}

bool
nacre_keyring_use(struct nacre_keyring_client *client, struct nacre_keyring_use *use)
{
	if (!client->used)
		return false;
	client->used = false;
	*use = (struct nacre_keyring_use){.blob = nacre_buffer_span(&client->use_blob),
	    .host_key = nacre_buffer_span(&client->use_host_key),
	    .comment = client->use_comment,
	    .user = client->use_user,
	    .host = client->use_host,
	    .process = client->process,
	    .pid = client->pid,
	    .forwarded = client->binding_count > 0 && client->bindings[0].forwarding,
	    .made = client->use_made};
	return true;
}

static void
put_text(struct nacre_buffer *answer, const char *text)
{
	nacre_put_cstring(answer, text != NULL ? text : "");
}

int
keyring_use_list(const struct nacre_keyring_client *client, struct nacre_buffer *answer)
{
	if (client->binding_count > 0 || client->binding_failed)
		return NACRE_ERROR_REFUSED;
	for (const struct keyring_entry *entry = client->keyring->first; entry != NULL;
	     entry = entry->next) {
		if (entry->use.time == 0)
			continue;
		nacre_put_string_span(answer, nacre_buffer_span(&entry->blob));
		nacre_put_u64(answer, entry->use.time);
		nacre_put_u32(answer, entry->use.count);
		put_text(answer, entry->use.user);
		put_text(answer, entry->use.host);
		nacre_put_string_span(answer, nacre_buffer_span(&entry->use.host_key));
		put_text(answer, entry->use.process);
		nacre_put_u32(answer, (uint32_t)entry->use.pid);
	}
	return answer->failed ? NACRE_ERROR_MEMORY : 0;
}
