/* The lines about a connection's life. Tools such as fail2ban parse them. */
#include "record.h"

#include "authorize.h"
#include "metrics.h"

#include <nacre/certificate.h>
#include <nacre/crypto.h>
#include <nacre/log.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT_MOST 500

const char *
login_user_text(const struct login *login, char *text, size_t room)
{
	const struct authentication *authentication = &login->authentication;

	snprintf(text, room, "%s%s", authentication->allowed ? "" : "invalid user ",
	    authentication->user != NULL ? authentication->user : "");
	return text;
}

/* "authenticating user X ", "", for lines about a connection that ended before login. */
static const char *
who(const struct login *login, char *text, size_t room)
{
	const struct authentication *authentication = &login->authentication;

	if (authentication->user == NULL)
		snprintf(text, room, "%s", "");
	else
		snprintf(text, room, "%s user %s ",
		    authentication->allowed ? "authenticating" : "invalid", authentication->user);
	return text;
}

static uint64_t
clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
record_age(const struct login *login)
{
	return clock_us() - login->began;
}

/* What all that this process logs from now on is about. */
static void
set_context(const struct login *login, const char *user)
{
	char identifier[17];

	snprintf(
	    identifier, sizeof identifier, "%016llx", (unsigned long long)login->log_identifier);
	const struct nacre_log_field fields[] = {
	    nacre_field_text("connection", identifier),
	    nacre_field_text("address", login->peer.address),
	    nacre_field_number("port", (uint64_t)login->peer.port),
	    nacre_field_text("user", user),
	};
	nacre_log_context_set(fields, MEMBERS(fields));
}

void
record_connection(struct login *login)
{
	nacre_random(&login->log_identifier, sizeof login->log_identifier);
	login->began = clock_us();
	set_context(login, NULL);
}

void
record_connection_begins(struct login *login)
{
	const struct peer *peer = &login->peer;
	const char *proxy = login->proxy.address[0] != '\0' ? login->proxy.address : NULL;
	const struct nacre_log_field fields[] = {
	    nacre_field_text("local_address", peer->local_address),
	    nacre_field_number("local_port", (uint64_t)peer->local_port),
	    nacre_field_text("proxy_address", proxy),
	};

	set_context(login, NULL);
	nacre_log_event(NACRE_LOG_VERBOSE, "connection", fields, MEMBERS(fields),
	    "Connection from %s port %d on %s port %d rdomain \"\"%s%s", peer->address, peer->port,
	    peer->local_address, peer->local_port, proxy != NULL ? " through proxy " : "",
	    proxy != NULL ? proxy : "");
}

/* Keys -------------------------------------------------------------------------------------- */

static const char *
text_of(const struct nacre_buffer *buffer)
{
	return nacre_buffer_length(buffer) > 0 && !buffer->failed
		   ? (const char *)buffer->data + buffer->start
		   : NULL;
}

static void
record_certificate(
    struct login *login, const struct nacre_certificate *certificate, struct key_record *record)
{
	record->certificate = true;
	record->serial = certificate->serial;
	nacre_put_span(&record->certificate_id, certificate->key_id);
	nacre_put_byte(&record->certificate_id, 0);
	put_fingerprint(login, certificate->authority, &record->authority);
}

void
record_key_free(struct key_record *record)
{
	nacre_buffer_free(&record->fingerprint);
	nacre_buffer_free(&record->certificate_id);
	nacre_buffer_free(&record->authority);
	*record = (struct key_record){0};
}

void
record_key(struct login *login, const struct nacre_key *key)
{
	struct key_record *record = &login->authentication.key_record;
	struct nacre_buffer *text = &login->authentication.key_text;

	record_key_free(record);
	nacre_buffer_clear(text);
	if (key == NULL)
		return;
	record->type = nacre_key_type_label(key);
	put_fingerprint(login, key, &record->fingerprint);
	describe_key(login, key, text);
	if (nacre_key_certificate(key) != NULL)
		record_certificate(login, nacre_key_certificate(key), record);
}

/* Attempts -------------------------------------------------------------------------------- */

static const struct {
	const char *text, *word;
	enum metrics_result result;
} outcomes[] = {
    [ANSWER_SUCCESS] = {"Accepted", "accepted", METRICS_ACCEPTED},
    [ANSWER_FAILURE] = {"Failed", "failed", METRICS_FAILED},
    [ANSWER_PUBLICKEY_OK] = {"Postponed", "offered", METRICS_POSTPONED},
    [ANSWER_CHANGE_PASSWORD] = {"Postponed", "postponed", METRICS_POSTPONED},
    [ANSWER_ASK] = {"Postponed", "postponed", METRICS_POSTPONED},
    [ANSWER_DISCONNECT] = {"Failed", "failed", METRICS_FAILED},
};

/* What OpenSSH passes over is a line for those who look for faults. */
static enum nacre_log_level
attempt_level(
    const struct login *login, const char *method, const struct answer *answer, bool usable)
{
	const struct authentication *authentication = &login->authentication;

	if (answer->kind == ANSWER_SUCCESS)
		return NACRE_LOG_INFO;
	if (!usable || strcmp(method, "none") == 0 ||
	    (strcmp(method, "publickey") == 0 && !authentication->allowed))
		return NACRE_LOG_DEBUG1;
	if (answer->kind != ANSWER_FAILURE && answer->kind != ANSWER_DISCONNECT)
		return NACRE_LOG_VERBOSE;
	return strcmp(method, "password") == 0 || !authentication->allowed ||
		       (int)authentication->failures >= login->config->max_auth_tries / 2
		   ? NACRE_LOG_INFO
		   : NACRE_LOG_VERBOSE;
}

void
record_attempt(
    const struct login *login, const char *method, const struct answer *answer, bool usable)
{
	const struct authentication *authentication = &login->authentication;
	const struct key_record *record = &authentication->key_record;
	bool by_key = (strcmp(method, "publickey") == 0 || strcmp(method, "hostbased") == 0) &&
		      record->type != NULL;
	bool certified = by_key && record->certificate;
	const char *key = by_key ? text_of(&authentication->key_text) : NULL;
	bool postponed = strcmp(outcomes[answer->kind].text, "Postponed") == 0;
	char user[300];
	const struct nacre_log_field fields[] = {
	    nacre_field_text("method", method),
	    nacre_field_text("result", answer->partial ? "partial" : outcomes[answer->kind].word),
	    nacre_field_text("user", authentication->user),
	    nacre_field_boolean("valid_user", authentication->allowed),
	    nacre_field_text("key_type", by_key ? record->type : NULL),
	    nacre_field_text("fingerprint", by_key ? text_of(&record->fingerprint) : NULL),
	    nacre_field_text("certificate_id", certified ? text_of(&record->certificate_id) : NULL),
	    certified ? nacre_field_number("certificate_serial", record->serial)
		      : nacre_field_text("certificate_serial", NULL),
	    nacre_field_text("authority", certified ? text_of(&record->authority) : NULL),
	};
	nacre_log_event(attempt_level(login, method, answer, usable), "authentication", fields,
	    MEMBERS(fields), "%s %s for %s from %.200s port %d ssh2%s%s",
	    answer->partial ? "Partial" : outcomes[answer->kind].text, method,
	    login_user_text(login, user, sizeof user), login->peer.address, login->peer.port,
	    postponed     ? " [preauth]"
	    : key != NULL ? ": "
			  : "",
	    !postponed && key != NULL ? key : "");
	metrics_report_attempt(
	    method, answer->partial ? METRICS_PARTIAL : outcomes[answer->kind].result);
	if (answer->kind == ANSWER_SUCCESS)
		set_context(login, authentication->user);
}

/* The end before login ------------------------------------------------------------------------ */

enum nacre_log_level
record_disconnect_level(uint32_t reason)
{
	return reason == NACRE_DISCONNECT_BY_APPLICATION ? NACRE_LOG_INFO : NACRE_LOG_ERROR;
}

/* Proxies see whether somebody listens, and say nothing then. */
static void
log_unproxied(const struct peer *peer, const struct ending *ending, const char *text)
{
	if (ending->by_peer)
		nacre_log(NACRE_LOG_VERBOSE, "Connection closed by proxy %s port %d", peer->address,
		    peer->port);
	else
		nacre_log(NACRE_LOG_ERROR, "Connection from proxy %s port %d: %s", peer->address,
		    peer->port, text);
}

static void
log_unidentified(const struct peer *peer, const struct ending *ending, const char *text)
{
	bool reset = ending->error == NACRE_ERROR_SYSTEM;
	bool version = ending->error == NACRE_ERROR_UNSUPPORTED;

	if (ending->by_peer) {
		nacre_log(NACRE_LOG_ERROR, "kex_exchange_identification: %s",
		    reset ? "read: Connection reset by peer" : "Connection closed by remote host");
		nacre_log(NACRE_LOG_INFO, "Connection %s by %s port %d", reset ? "reset" : "closed",
		    peer->address, peer->port);
		return;
	}
	nacre_log(NACRE_LOG_ERROR, "%s%s", version ? "" : "kex_exchange_identification: ", text);
	nacre_log(NACRE_LOG_INFO, "banner exchange: Connection from %s port %d: %s", peer->address,
	    peer->port, version ? "could not read protocol version" : "invalid format");
}

static void
log_identified(const struct login *login, const struct ending *ending, const char *text)
{
	const struct peer *peer = &login->peer;
	char buffer[300];
	const char *user = who(login, buffer, sizeof buffer);

	if (ending->by_peer && ending->reason != 0) {
		nacre_log(record_disconnect_level(ending->reason),
		    "Received disconnect from %s port %d:%u: %s [preauth]", peer->address,
		    peer->port, ending->reason, text);
		nacre_log(NACRE_LOG_INFO, "Disconnected from %s%s port %d [preauth]", user,
		    peer->address, peer->port);
	} else if (ending->by_peer)
		nacre_log(NACRE_LOG_INFO, "Connection %s by %s%s port %d [preauth]",
		    ending->error == NACRE_ERROR_SYSTEM ? "reset" : "closed", user, peer->address,
		    peer->port);
	else if (ending->error == NACRE_ERROR_NEGOTIATION)
		nacre_log(NACRE_LOG_INFO, "Unable to negotiate with %s%s port %d: %s [preauth]",
		    user, peer->address, peer->port, text);
	else if (ending->error == NACRE_ERROR_INTEGRITY) {
		nacre_log(NACRE_LOG_INFO, "%s [preauth]", text);
		nacre_log(NACRE_LOG_INFO,
		    "ssh_dispatch_run_fatal: Connection from %s%s port %d: message authentication "
		    "code incorrect [preauth]",
		    user, peer->address, peer->port);
	} else
		nacre_log(NACRE_LOG_INFO, "Disconnecting %s%s port %d: %s [preauth]", user,
		    peer->address, peer->port, text);
}

static const char *
ending_word(const struct ending *ending)
{
	if (!ending->by_peer)
		return ending->error == NACRE_ERROR_NEGOTIATION ? "no_agreement"
		       : ending->error == NACRE_ERROR_REFUSED   ? "refused"
								: "protocol_error";
	if (ending->reason != 0)
		return "disconnected";
	return ending->error == NACRE_ERROR_SYSTEM ? "reset" : "closed";
}

/* The objects' end of a connection; as text the lines above have said it. */
static void
event_disconnect(const struct login *login, const char *how, struct nacre_span reason,
    const uint64_t *sent, const uint64_t *received)
{
	bool after_login = sent != NULL;
	const struct nacre_log_field fields[] = {
	    nacre_field_text("outcome", how),
	    nacre_field_boolean("authenticated", after_login),
	    /* After login it is in the context. */
	    nacre_field_text("user", after_login ? NULL : login->authentication.user),
	    nacre_field_number("duration_ms", record_age(login) / 1000),
	    reason.length > 0 ? nacre_field_span("reason", reason)
			      : nacre_field_text("reason", NULL),
	    sent != NULL ? nacre_field_number("bytes_sent", *sent)
			 : nacre_field_text("bytes_sent", NULL),
	    received != NULL ? nacre_field_number("bytes_received", *received)
			     : nacre_field_text("bytes_received", NULL),
	};
	nacre_log_event(NACRE_LOG_DEBUG1, "disconnect", fields, MEMBERS(fields),
	    "Connection to %s port %d is over", login->peer.address, login->peer.port);
}

void
record_ending(const struct login *login, const struct ending *ending)
{
	char text[TEXT_MOST];
	size_t length = ending->text.length < sizeof text ? ending->text.length : sizeof text - 1;

	snprintf(text, sizeof text, "%.*s", (int)length, (const char *)ending->text.data);
	if (login->state == MONITOR_PROXIED)
		log_unproxied(&login->peer, ending, text);
	else if (ending->identified)
		log_identified(login, ending, text);
	else
		log_unidentified(&login->peer, ending, text);
	event_disconnect(login, ending_word(ending), ending->text, NULL, NULL);
}

void
record_timeout(const struct login *login)
{
	nacre_log(NACRE_LOG_FATAL, "Timeout before authentication for %s port %d",
	    login->peer.address, login->peer.port);
	event_disconnect(login, "login_timeout", (struct nacre_span){NULL, 0}, NULL, NULL);
}

/* Forwarding ---------------------------------------------------------------------------------- */

void
record_forward(enum nacre_log_level level, const char *kind, const char *target, const char *result,
    const char *format, ...)
{
	char line[2 * TEXT_MOST];
	va_list arguments;
	const struct nacre_log_field fields[] = {
	    nacre_field_text("kind", kind),
	    nacre_field_text("target", target),
	    nacre_field_text("result", result),
	};

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	nacre_log_event(level, "forward", fields, MEMBERS(fields), "%s", line);
}

/* The end of a session ------------------------------------------------------------------------ */

void
record_logout(const struct login *login, const char *how, struct nacre_span text, uint64_t sent,
    uint64_t received)
{
	const struct peer *peer = &login->peer;

	if (strcmp(how, "disconnected") == 0)
		nacre_log(NACRE_LOG_INFO, "Disconnected from user %s %s port %d",
		    login->account.name, peer->address, peer->port);
	else if (strcmp(how, "protocol_error") == 0)
		nacre_log(NACRE_LOG_INFO, "Disconnecting user %s %s port %d: %.*s",
		    login->account.name, peer->address, peer->port,
		    (int)(text.length < TEXT_MOST ? text.length : TEXT_MOST),
		    (const char *)text.data);
	else if (strcmp(how, "reset") == 0)
		nacre_log(NACRE_LOG_INFO,
		    "Read error from remote host %s port %d: Connection reset by peer",
		    peer->address, peer->port);
	else if (strcmp(how, "closed") == 0) {
		nacre_log(
		    NACRE_LOG_INFO, "Connection closed by %s port %d", peer->address, peer->port);
		nacre_log(NACRE_LOG_VERBOSE, "Transferred: sent %llu, received %llu bytes",
		    (unsigned long long)sent, (unsigned long long)received);
		nacre_log(NACRE_LOG_VERBOSE, "Closing connection to %s port %d", peer->address,
		    peer->port);
	}
	event_disconnect(login, how, text, &sent, &received);
}
