/* The methods of authentication that ask PAM, and what PAM says of an account (RFC 4256). */
#include "pam.h"
#include "pam_library.h"

#include <nacre/log.h>

#include <stdlib.h>
#include <string.h>

#define RESPONSE_MOST ((size_t)1024)

/* Tasks of the thread ------------------------------------------------------------------------ */

static int
flags_of(const struct pam_login *pam)
{
	return pam->login->config->permit_empty_passwords ? 0 : (int)PAM_DISALLOW_NULL_AUTHTOK;
}

/* A module may name another user; who that is was never asked. */
static int
same_user(const struct pam_login *pam)
{
	const void *name = NULL;

	if (pam_library()->get_item(pam->handle, PAM_USER, &name) == PAM_SUCCESS && name != NULL &&
	    strcmp(name, pam->login->authentication.user) == 0)
		return PAM_SUCCESS;
	nacre_log(NACRE_LOG_ERROR, "PAM: user %.100s was changed to %.100s, which is refused",
	    pam->login->authentication.user, name != NULL ? (const char *)name : "nobody");
	return PAM_USER_UNKNOWN;
}

static int
task_authenticate(struct pam_login *pam)
{
	int status = pam_library()->authenticate(pam->handle, flags_of(pam));

	return status == PAM_SUCCESS ? same_user(pam) : status;
}

static int
task_account(struct pam_login *pam)
{
	int status = pam_library()->account(pam->handle, flags_of(pam));
	int same =
	    status == PAM_SUCCESS || status == PAM_NEW_AUTHTOK_REQD ? same_user(pam) : status;

	return same == PAM_SUCCESS ? status : same;
}

/* All in one conversation: who is asked can also change an expired password. */
static int
task_interactive(struct pam_login *pam)
{
	int status = task_authenticate(pam);

	pam->authenticated = status == PAM_SUCCESS;
	if (status == PAM_SUCCESS && pam->login->authentication.allowed)
		status = task_account(pam);
	if (status == PAM_NEW_AUTHTOK_REQD)
		status = pam_library()->change_password(pam->handle, PAM_CHANGE_EXPIRED_AUTHTOK);
	return status;
}

/* Methods ----------------------------------------------------------------------------------- */

/* Whether the right password would let the user in. Where not, PAM is given another one, so that
 * its answer and the time for it say nothing. */
static bool
password_counts(const struct login *login)
{
	return login->authentication.allowed &&
	       (login->account.uid != 0 || login->config->permit_root_login == NACRE_ROOT_YES);
}

static char *
copy_password(const struct login *login, const char *password)
{
	char *copy = strdup(password);

	if (copy == NULL)
		nacre_fatal("out of memory");
	if (!password_counts(login))
		memset(copy, '\177', strlen(copy));
	return copy;
}

static void
wipe(char *text)
{
	explicit_bzero(text, strlen(text));
	free(text);
}

static void
show_text(struct pam_login *pam, struct nacre_buffer *where)
{
	nacre_put_span(where, nacre_buffer_span(&pam->text));
	nacre_buffer_clear(&pam->text);
}

enum answer_kind
pam_check_password(struct login *login, const char *password, struct answer *answer)
{
	struct pam_login *pam = pam_of(login);

	if (pam == NULL)
		return ANSWER_FAILURE;
	pam_cancel(pam);
	char *copy = copy_password(login, password);
	pam->password = copy;
	pam_begin(pam, task_authenticate, PAM_TALK_PASSWORD);
	pam->password = NULL;
	wipe(copy);
	pam->exhausted = pam->exhausted || pam->result == PAM_MAXTRIES;
	pam->authenticated = pam->result == PAM_SUCCESS;
	nacre_log(NACRE_LOG_DEBUG1, "PAM: password authentication %s for %.100s: %s",
	    pam->authenticated ? "accepted" : "failed", login->authentication.user,
	    pam_reason(pam, pam->result));
	if (!pam->authenticated || !password_counts(login)) {
		nacre_buffer_clear(&pam->text);
		return ANSWER_FAILURE;
	}
	show_text(pam, &answer->banner);
	return ANSWER_SUCCESS;
}

static void
log_failure(struct pam_login *pam)
{
	const struct login *login = pam->login;

	nacre_log(NACRE_LOG_ERROR, "PAM: %s for %s%.100s from %.100s", pam_reason(pam, pam->result),
	    login->account.exists ? "" : "illegal user ", login->authentication.user,
	    login->peer.address);
}

static enum answer_kind
outcome(struct pam_login *pam)
{
	struct login *login = pam->login;

	login->authentication.asking = false;
	if (pam->result == PAM_SUCCESS && password_counts(login)) {
		pam->account_allowed = true;
		return ANSWER_SUCCESS;
	}
	pam->exhausted = pam->exhausted || pam->result == PAM_MAXTRIES;
	if (!pam->authenticated)
		log_failure(pam);
	return ANSWER_FAILURE;
}

/* What the thread has come to: a question to the peer, a last word to it, or the outcome. */
static enum answer_kind
go_on(struct pam_login *pam, struct answer *answer)
{
	struct login *login = pam->login;

	login->authentication.asking = true;
	if (!pam->finished) {
		/* What was said before is part of the question: some clients show nothing else. */
		show_text(pam, &answer->text);
		nacre_put_span(&answer->text, nacre_buffer_span(&pam->prompt));
		answer->echo = pam->echo;
		answer->prompts = 1;
		return ANSWER_ASK;
	}
	bool worth_saying =
	    pam->result == PAM_SUCCESS || (pam->authenticated && login->authentication.allowed);
	if (worth_saying && nacre_buffer_length(&pam->text) > 0) {
		show_text(pam, &answer->instruction);
		return ANSWER_ASK;
	}
	nacre_buffer_clear(&pam->text);
	return outcome(pam);
}

enum answer_kind
pam_ask(struct login *login, struct answer *answer)
{
	struct pam_login *pam = pam_of(login);

	if (pam == NULL)
		return ANSWER_FAILURE;
	pam_begin(pam, task_interactive, PAM_TALK_ASK);
	return go_on(pam, answer);
}

static char *
read_response(const struct login *login, struct nacre_reader *request)
{
	uint32_t count = nacre_get_u32(request);
	struct nacre_span span =
	    count == 1 ? nacre_get_string(request) : (struct nacre_span){NULL, 0};
	char *text = count == 1 && nacre_reader_done(request) && span.length < RESPONSE_MOST
			 ? nacre_span_to_string(span)
			 : NULL;

	if (text == NULL)
		return NULL;
	char *copy = copy_password(login, text);
	wipe(text);
	return copy;
}

enum answer_kind
pam_respond(struct login *login, struct nacre_reader *request, struct answer *answer)
{
	struct pam_login *pam = pam_of(login);

	if (pam == NULL)
		return ANSWER_FAILURE;
	if (pam->finished)
		return outcome(pam);
	pam->response = read_response(login, request);
	pam_resume(pam);
	return go_on(pam, answer);
}

/* The account ------------------------------------------------------------------------------- */

bool
pam_account_allows(struct login *login, struct answer *answer)
{
	struct pam_login *pam = pam_of(login);

	if (pam == NULL)
		return false;
	if (pam->account_allowed)
		return true;
	pam_begin(pam, task_account, PAM_TALK_SILENT);
	nacre_log(NACRE_LOG_DEBUG1, "PAM: pam_acct_mgmt(): %s", pam_reason(pam, pam->result));
	login->password_expired = pam->result == PAM_NEW_AUTHTOK_REQD;
	pam->account_allowed = pam->result == PAM_SUCCESS || login->password_expired;
	/* At once, and again above the prompt of a terminal. */
	nacre_put_span(&login->messages, nacre_buffer_span(&pam->text));
	show_text(pam, &answer->banner);
	return pam->account_allowed;
}
