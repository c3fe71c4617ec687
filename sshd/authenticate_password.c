/* The methods "password" and "none" (RFC 4252): by PAM or by the shadow file. */
#include "login.h"
#include "pam.h"

#include <nacre/log.h>

#include <stdlib.h>
#include <string.h>

#define PASSWORD_MOST ((size_t)1024)

/* A password past its age lets its user in to change it. */
static void
note_expiry(struct login *login)
{
	enum nacre_account_state state = nacre_account_state(&login->account);

	login->password_expired =
	    state == NACRE_ACCOUNT_PASSWORD_EXPIRED || state == NACRE_ACCOUNT_PASSWORD_FORCED;
	if (login->password_expired)
		nacre_log(NACRE_LOG_INFO, "User %.100s password has expired (%s)",
		    login->account.name,
		    state == NACRE_ACCOUNT_PASSWORD_FORCED ? "root forced" : "password aged");
	else
		nacre_account_warn_password(&login->account, &login->messages);
}

static enum answer_kind
check_password(struct login *login, const char *password, struct answer *answer)
{
	if (pam_in_use(login))
		return pam_check_password(login, password, answer);
	bool right = nacre_account_check_password(
			 &login->account, password, login->config->permit_empty_passwords) == 0;

	if (!right || !login->authentication.allowed)
		return ANSWER_FAILURE;
	note_expiry(login);
	return ANSWER_SUCCESS;
}

enum answer_kind
authenticate_none(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	(void)fields;
	if (!login->config->permit_empty_passwords || !authenticate_may_use(login, "none"))
		return ANSWER_FAILURE;
	return check_password(login, "", answer);
}

enum answer_kind
authenticate_password(struct login *login, struct nacre_reader *fields, struct answer *answer)
{
	bool change = nacre_get_boolean(fields);
	struct nacre_span span = nacre_get_string(fields);
	char *password = span.length < PASSWORD_MOST ? nacre_span_to_string(span) : NULL;

	nacre_get_string(fields);
	if (change)
		nacre_log(NACRE_LOG_INFO, "password change not supported");
	if (password == NULL)
		return ANSWER_FAILURE;
	enum answer_kind kind = check_password(login, password, answer);
	explicit_bzero(password, strlen(password));
	free(password);
	return kind;
}
