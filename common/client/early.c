/*
 * A session that is opened, and told what to run, in the same flight as the signed request that
 * logs in: a login takes two round trips less, and OpenSSH's server, whose answers wait for one
 * another while it has Nagle's algorithm on, spends two less on waiting for us.
 *
 * RFC 4252 section 6 has a server disconnect when messages of the connection protocol come before
 * authentication is complete. Two kinds of server get them all the same:
 *
 * - One that is, by host key and identification, the one that took this very key as its only
 *   condition from this very user last time, and is of a make that is known to read in order. There
 *   is next to no doubt that authentication will be complete once they are read, and what its number
 *   for our channel will be is known from then, too.
 * - One that is met for the first time and goes on when it does not understand: OpenSSH's answers
 *   UNIMPLEMENTED, and ours announces that it does. It costs nothing to be wrong there but bytes
 *   (and, with OpenSSH, lines in its log: so this is done once, not again and again, until it has
 *   taken the key).
 *
 * When it comes otherwise (a key that was withdrawn, a server that counts differently), the login
 * goes on without this if the server does, begins anew if not, and the memory of it changes. Nothing runs twice: another try is made only
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

/* The only request that is unanswered is the signed one of this key; or NULL. */
static const struct identity *
offered_alone(const struct nacre_client *client)
{
	for (size_t i = 0; i < client->identities.count; i++)
		if (client->identities.list[i].state == IDENTITY_OFFERED)
			return client->authentication.outstanding == 1 ? &client->identities.list[i]
								       : NULL;
	return NULL;
}

/* It took the key last time. */
static bool
remembered(const struct nacre_client *client, const struct identity *offered)
{
	const uint32_t channel = client->preference.channel;

	return server_reads_in_order(client->early.identification) &&
	       channel != PREFERENCE_CHANNEL_UNSTEADY && channel != PREFERENCE_CHANNEL_REFUSED &&
	       client->preference.early == preference_early_mark(client) &&
	       preference_remembers(client, offered);
}

/* Nothing is known of it, and it goes on when it does not understand. */
static bool
patient_stranger(const struct nacre_client *client)
{
	static const char openssh[] = "SSH-2.0-OpenSSH_";

	return client->preferences.path != NULL &&
	       client->preference.early != preference_early_mark(client) &&
	       (strncmp(client->early.identification, openssh, sizeof openssh - 1) == 0 ||
		   nacre_session_peer_extension(client->session, "early-session@nacre", NULL));
}

/* What the server will call the channel, if it is wise to rely on one. */
static bool
early_wise(const struct nacre_client *client, uint32_t *number)
{
	const struct identity *const offered = offered_alone(client);

	if (client->early.request == NULL || client->failed || !client->host_key_known ||
	    client->early.identification == NULL || offered == NULL)
		return false;
	*number = client->preference.channel;
	if (remembered(client, offered))
		return true;
	/* Both kinds count from here. */
	*number = 0;
	return patient_stranger(client);
}

void
early_send(struct nacre_client *client)
{
	struct early *const early = &client->early;
	uint32_t number;

	if (!early_wise(client, &number) ||
	    nacre_channel_open_early(client->session, "session", number, &early->channel) != 0)
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

/* The server does not have the channel. */
static void
on_refused(struct nacre_client *client)
{
	struct early *const early = &client->early;

	if (!early->refused) {
		give_up(client, true);
		client->failed = true;
		return;
	}
	nacre_log(NACRE_LOG_DEBUG1, "The server did not take the session that was opened early");
	early->request = NULL;
	early->sent = early->refused = false;
	client->failed |= authenticate_advance(client) != 0;
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
	else if (event->kind == NACRE_EVENT_CHANNEL_REFUSED)
		on_refused(client);
}

void
early_refused(struct nacre_client *client)
{
	client->early.refused = true;
	preference_forget_early(client, false);
}

bool
early_undecided(const struct nacre_client *client)
{
	return client->early.sent && client->early.refused;
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
	/* Before authentication there are no channels. */
	const bool nothing_ran = told || other_number || client->early.refused;

	if (nothing_ran)
		give_up(client, client->authenticated);
	else
		preference_forget_early(client, true);
	return nothing_ran;
}

void
early_free(struct nacre_client *client)
{
	free(client->early.identification);
	client->early = (struct early){0};
}
