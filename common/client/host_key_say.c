/*
 * What a person is told and asked about host keys: the questions and warnings that users of OpenSSH
 * know, word for word.
 */
#include <client/host_key.h>
#include <nacre/prompt.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT(buffer) (int)nacre_buffer_length(buffer), (const char *)nacre_buffer_span(buffer).data

#define FRAME "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@"

/* Other names of a key that are listed in a question. */
#define OTHER_NAMES_MAX 8

void
say_picture(const struct nacre_client *client, const struct candidate *candidate)
{
	struct nacre_buffer picture = {0};

	if (client->config->visual_host_key &&
	    nacre_key_randomart(candidate->plain,
		(enum nacre_fingerprint_hash)client->config->fingerprint_hash, &picture) == 0) {
		nacre_log(
		    NACRE_LOG_INFO, "Host key fingerprint is %.*s", TEXT(&candidate->fingerprint));
		nacre_log_lines(NACRE_LOG_INFO, nacre_buffer_span(&picture));
	}
	nacre_buffer_free(&picture);
}

/* Is this answer consent: "yes", or the fingerprint itself, if there is one? */
static int
judge_answer(const struct candidate *candidate, struct nacre_span answer)
{
	while (answer.length > 0 && (*answer.data == ' ' || *answer.data == '\t')) {
		answer.data++;
		answer.length--;
	}
	while (answer.length > 0 && answer.data[answer.length - 1] <= ' ')
		answer.length--;
	if (answer.length == 3 && strncasecmp((const char *)answer.data, "yes", 3) == 0)
		return NACRE_YES;
	if (answer.length == 0 ||
	    (answer.length == 2 && strncasecmp((const char *)answer.data, "no", 2) == 0))
		return NACRE_NO;
	return candidate != NULL &&
		       nacre_span_equal(answer, nacre_buffer_span(&candidate->fingerprint))
		   ? NACRE_YES
		   : NACRE_ASK;
}

/* Where else the key stands in the files: it may be a machine that the person knows. */
static void
put_other_names(
    const struct nacre_client *client, const struct candidate *candidate, struct nacre_buffer *text)
{
	const struct nacre_words *const lists[] = {
	    &client->config->user_known_hosts_file, &client->config->global_known_hosts_file};
	struct nacre_buffer names = {0};
	size_t count = 0;

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		for (size_t j = 0; j < lists[i]->count; j++)
			nacre_known_hosts_put_names(
			    lists[i]->words[j], candidate->plain, OTHER_NAMES_MAX, &count, &names);
	if (count == 0)
		nacre_put_format(text, "This key is not known by any other names.\n");
	else
		nacre_put_format(text,
		    "This host key is known by the following other names/addresses:\n%.*s",
		    TEXT(&names));
	if (count > OTHER_NAMES_MAX)
		nacre_put_format(
		    text, "    (%zu additional names omitted)\n", count - OTHER_NAMES_MAX);
	nacre_buffer_free(&names);
}

static void
compose_question(
    const struct nacre_client *client, const struct candidate *candidate, struct nacre_buffer *text)
{
	struct nacre_buffer picture = {0};
	char *const address = client->address != NULL
				  ? nacre_known_hosts_name(client->address, client->config->port)
				  : NULL;

	nacre_put_format(text, "The authenticity of host '%s (%s)' can't be established.\n",
	    client->known_name, address != NULL ? address : "<no hostip for proxy command>");
	nacre_put_format(
	    text, "%s key fingerprint is %.*s.\n", candidate->label, TEXT(&candidate->fingerprint));
	if (client->config->visual_host_key &&
	    nacre_key_randomart(candidate->plain,
		(enum nacre_fingerprint_hash)client->config->fingerprint_hash, &picture) == 0)
		nacre_put_format(text, "%.*s\n", TEXT(&picture));
	if (client->config->verify_host_key_dns != NACRE_NO)
		nacre_put_format(text, "%s host key fingerprint found in DNS.\n",
		    candidate->dns.match ? "Matching" : "No matching");
	put_other_names(client, candidate, text);
	nacre_put_format(
	    text, "Are you sure you want to continue connecting (yes/no/[fingerprint])? ");
	nacre_put_byte(text, '\0');
	nacre_buffer_free(&picture);
	free(address);
}

bool
ask_unknown(const struct nacre_client *client, const struct candidate *candidate)
{
	struct nacre_buffer question = {0}, answer = {0};
	int said = NACRE_ASK;

	trace_stage(client->trace, "question about the host key", NULL);
	compose_question(client, candidate, &question);
	const char *text = question.failed ? "" : (const char *)question.data;
	while (said == NACRE_ASK) {
		nacre_buffer_clear(&answer);
		if (nacre_prompt(text, NACRE_PROMPT_ECHO, &answer) != 0)
			said = NACRE_NO;
		else
			said = judge_answer(candidate, nacre_buffer_span(&answer));
		text = "Please type 'yes', 'no' or the fingerprint: ";
	}
	nacre_buffer_free(&question);
	nacre_buffer_free(&answer);
	return said == NACRE_YES;
}

static void
log_framed(const char *line)
{
	nacre_log(NACRE_LOG_ERROR, FRAME);
	nacre_log(NACRE_LOG_ERROR, "%s", line);
	nacre_log(NACRE_LOG_ERROR, FRAME);
}

void
say_revoked(const struct nacre_client *client, const struct candidate *candidate)
{
	log_framed("@       WARNING: REVOKED HOST KEY DETECTED!               @");
	nacre_log(NACRE_LOG_ERROR, "The %s host key for %s is marked as revoked.", candidate->label,
	    client->known_name);
	nacre_log(NACRE_LOG_ERROR, "This could mean that a stolen key is being used to");
	nacre_log(NACRE_LOG_ERROR, "impersonate this host.");
	if (client->config->strict_host_key_checking != NACRE_OFF)
		nacre_log(NACRE_LOG_ERROR,
		    "%s host key for %s was revoked and you have requested strict checking.",
		    candidate->label, client->known_name);
}

static void
say_how_to_remove(const struct nacre_known_host *found, const char *name)
{
	nacre_log(NACRE_LOG_ERROR, "  remove with:");
	nacre_log(NACRE_LOG_ERROR, "  ssh-keygen -f \"%s\" -R \"%s\"", found->file, name);
}

/* The address disagrees with the name about what is usual. */
static void
say_spoofing(const struct nacre_client *client, const struct candidate *candidate,
    const struct address_line *address)
{
	const bool known = address->verdict == NACRE_HOST_OK;

	log_framed("@       WARNING: POSSIBLE DNS SPOOFING DETECTED!          @");
	nacre_log(NACRE_LOG_ERROR, "The %s host key for %s has changed,", candidate->label,
	    client->known_name);
	nacre_log(
	    NACRE_LOG_ERROR, "and the key for the corresponding IP address %s", address->name);
	nacre_log(
	    NACRE_LOG_ERROR, "is %s. This could either mean that", known ? "unchanged" : "unknown");
	nacre_log(NACRE_LOG_ERROR, "DNS SPOOFING is happening or the IP address for the host");
	nacre_log(NACRE_LOG_ERROR, "and its host key have changed at the same time.");
	if (known && address->found != NULL) {
		nacre_log(NACRE_LOG_ERROR, "Offending key for IP in %s:%u", address->found->file,
		    address->found->line);
		say_how_to_remove(address->found, address->name);
	}
}

static void
say_key_is_another(const struct candidate *candidate)
{
	log_framed("@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @");
	nacre_log(NACRE_LOG_ERROR, "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!");
	nacre_log(NACRE_LOG_ERROR,
	    "Someone could be eavesdropping on you right now (man-in-the-middle attack)!");
	nacre_log(NACRE_LOG_ERROR, "It is also possible that a host key has just been changed.");
	nacre_log(NACRE_LOG_ERROR, "The fingerprint for the %s key sent by the remote host is",
	    candidate->label);
	nacre_log(NACRE_LOG_ERROR, "%.*s.", TEXT(&candidate->fingerprint));
	nacre_log(NACRE_LOG_ERROR, "Please contact your system administrator.");
}

void
say_changed(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address)
{
	if (address->name != NULL && address->verdict != NACRE_HOST_CHANGED)
		say_spoofing(client, candidate, address);
	say_key_is_another(candidate);
	if (client->user_known_hosts != NULL)
		nacre_log(NACRE_LOG_ERROR, "Add correct host key in %s to get rid of this message.",
		    client->user_known_hosts);
	if (found != NULL) {
		nacre_log(NACRE_LOG_ERROR, "Offending %s key in %s:%u",
		    found->key != NULL ? nacre_key_type_label(found->key) : found->key_format,
		    found->file, found->line);
		say_how_to_remove(found, client->known_name);
	}
	if (client->config->strict_host_key_checking == NACRE_OFF)
		nacre_log(NACRE_LOG_ERROR,
		    "Host key for %s has changed, which StrictHostKeyChecking no does not excuse.",
		    client->known_name);
	else
		nacre_log(NACRE_LOG_ERROR,
		    "Host key for %s has changed and you have requested strict checking.",
		    client->known_name);
}

static void
put_address_differs(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address,
    struct nacre_buffer *text)
{
	nacre_put_format(text,
	    "Warning: the %s host key for '%s' differs from the key for the IP address '%s'\n"
	    "Offending key for IP in %s:%u\n",
	    candidate->label, client->known_name, address->name, address->found->file,
	    address->found->line);
	if (found != NULL)
		nacre_put_format(text, "Matching host key in %s:%u\n", found->file, found->line);
}

void
say_address_differs(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address)
{
	struct nacre_buffer text = {0};

	put_address_differs(client, candidate, found, address, &text);
	nacre_log_lines(NACRE_LOG_INFO, nacre_buffer_span(&text));
	nacre_buffer_free(&text);
}

void
say_dns_differs(const struct candidate *candidate)
{
	say_key_is_another(candidate);
	nacre_log(NACRE_LOG_ERROR,
	    "Update the SSHFP RR in DNS with the new host key to get rid of this message.");
}

void
say_hint(const struct nacre_client *client, const struct candidate *candidate)
{
	if (client->host_key_unknown)
		nacre_log(NACRE_LOG_INFO,
		    "hint: %s is not in known_hosts yet. Compare the fingerprint %.*s with the "
		    "server's, then: ssh -o StrictHostKeyChecking=ask %s",
		    client->known_name, TEXT(&candidate->fingerprint), client->config->host);
}

bool
ask_to_go_on(const struct nacre_client *client, const struct candidate *candidate,
    const struct nacre_known_host *found, const struct address_line *address)
{
	struct nacre_buffer question = {0}, answer = {0};
	int said = client->config->batch_mode ? NACRE_NO : NACRE_ASK;

	put_address_differs(client, candidate, found, address, &question);
	nacre_put_format(&question, "Are you sure you want to continue connecting (yes/no)? ");
	nacre_put_byte(&question, '\0');
	const char *text = question.failed ? "" : (const char *)question.data;
	while (said == NACRE_ASK) {
		nacre_buffer_clear(&answer);
		said = nacre_prompt(text, NACRE_PROMPT_ECHO, &answer) != 0
			   ? NACRE_NO
			   : judge_answer(NULL, nacre_buffer_span(&answer));
		text = "Please type 'yes' or 'no': ";
	}
	nacre_buffer_free(&question);
	nacre_buffer_free(&answer);
	return said == NACRE_YES;
}
