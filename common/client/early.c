/*
 * A session that is opened, and told what to run, in the same flight as the signed request that
 * logs in: a login takes two round trips less, and OpenSSH's server, whose answers wait for one
 * another while it has Nagle's algorithm on, spends two less on waiting for us.
 *
 * RFC 4252 section 6 has a server disconnect when messages of the connection protocol come before
 * authentication is complete, so this is done only when there is next to no doubt that it will be
 * complete once they are read: the server, by host key and identification, is one that took this
 * very key as its only condition from this very user last time, and of a make that is known to read
 * in order. What its number for our channel will be is known from then, too.
 *
 * When it comes otherwise (a key that was withdrawn, a server that counts differently), the login
 * begins anew without this, and the memory of it goes. Nothing runs twice: another try is made only
 * after the server has said something that shows that the channel we addressed was never there: a
 * refusal of the key or the channel, DISCONNECT, or another number, instead of a confirmation. It
 * reads and answers in order, and these cannot be forged or left out by anyone between. A connection
 * that just ends proves nothing, and is an error as ever. The command is told to nobody but the
 * server whose host key was verified.
 */
#include <client/client.h>

#include <stdlib.h>
#include <string.h>

static bool
server_reads_in_order(const char *identification)
{
	static const char *const known[] = {"SSH-2.0-OpenSSH_", "SSH-2.0-Nacre_"};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strncmp(identification, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

/* The key that was taken last time, and nothing else, is on its way. */
static bool
remembered_key_offered(const struct nacre_client *client)
{
	for (size_t i = 0; i < client->identities.count; i++)
		if (client->identities.list[i].state == IDENTITY_OFFERED)
			return client->authentication.outstanding == 1 &&
			       preference_remembers(client, &client->identities.list[i]);
	return false;
}

static bool
early_wise(const struct nacre_client *client)
{
	const struct preference *const preference = &client->preference;
	const char *const identification = client->early.identification;

	return client->early.request != NULL && !client->failed && client->host_key_known &&
	       !client->host_key_doubtful && identification != NULL &&
	       server_reads_in_order(identification) && preference->early != 0 &&
	       preference->channel != PREFERENCE_CHANNEL_UNSTEADY &&
	       preference->early == preference_early_mark(client) && remembered_key_offered(client);
}

void
early_send(struct nacre_client *client)
{
	struct early *const early = &client->early;

	if (!early_wise(client) || nacre_channel_open_early(client->session, "session",
				       client->preference.channel, &early->channel) != 0)
		return;
	nacre_log(NACRE_LOG_DEBUG1, "channel %u: opened together with the login", early->channel);
	early->sent = true;
	early->request(early->context, client, early->channel);
}

bool
early_waits(const struct nacre_client *client)
{
	return client->early.sent && !client->early.opened;
}

static void
give_up(struct nacre_client *client, bool unsteady)
{
	preference_forget_early(client, unsteady);
	client->retry = WITHOUT_EARLY;
}

void
early_event(struct nacre_client *client, const struct nacre_event *event)
{
	struct early *const early = &client->early;

	if (event->kind == NACRE_EVENT_CHANNEL_OPENED)
		early->opened = event->channel == early->channel;
	else if (event->kind == NACRE_EVENT_CHANNEL_OPEN)
		nacre_channel_refuse(client->session, event->channel,
		    NACRE_OPEN_ADMINISTRATIVELY_PROHIBITED, "not requested");
	else if (event->kind == NACRE_EVENT_CHANNEL_REFUSED) {
		give_up(client, true);
		client->failed = true;
	}
}

void
early_refused(struct nacre_client *client)
{
	give_up(client, false);
	client->failed = true;
}

bool
early_lost(struct nacre_client *client, const struct nacre_event *event)
{
	const uint32_t reason = event->u.disconnected.reason;
	/* A connection that is lost has ended without a word. */
	const bool told = event->u.disconnected.by_peer && reason != 0 &&
			  reason != NACRE_DISCONNECT_CONNECTION_LOST;
	const bool other_number =
	    !event->u.disconnected.by_peer && event->u.disconnected.error == NACRE_ERROR_NOT_FOUND;

	if (!early_waits(client) || client->failed)
		return false;
	if (told || other_number)
		give_up(client, client->authenticated);
	else
		preference_forget_early(client, true);
	return told || other_number;
}

void
early_free(struct nacre_client *client)
{
	free(client->early.identification);
	client->early = (struct early){0};
}
