/* A PAM module for tests: each argument is a step of what it says, asks or does; "_" is a blank. */
#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "PROMPT:ANSWER": another answer fails the module. */
static int
ask(pam_handle_t *handle, char *text, int style, int *outcome)
{
	char *wanted = strchr(text, ':'), *response = NULL;

	*wanted++ = '\0';
	int status = pam_prompt(handle, style, &response, "%s: ", text);
	if (status == PAM_SUCCESS && (response == NULL || strcmp(response, wanted) != 0))
		*outcome = PAM_AUTH_ERR;
	free(response);
	return status;
}

/* Several messages in one call of the conversation. */
static int
ask_together(pam_handle_t *handle, int *outcome)
{
	static const struct pam_message messages[] = {{PAM_TEXT_INFO, "Both, please"},
	    {PAM_PROMPT_ECHO_ON, "First: "}, {PAM_PROMPT_ECHO_OFF, "Second: "}};
	const struct pam_message *pointers[] = {&messages[0], &messages[1], &messages[2]};
	const struct pam_conv *conversation;
	struct pam_response *responses = NULL;

	pam_get_item(handle, PAM_CONV, (const void **)&conversation);
	int status = conversation->conv(3, pointers, &responses, conversation->appdata_ptr);
	if (status == PAM_SUCCESS &&
	    (strcmp(responses[1].resp, "one") != 0 || strcmp(responses[2].resp, "two") != 0))
		*outcome = PAM_AUTH_ERR;
	for (int i = 0; status == PAM_SUCCESS && i < 3; i++)
		free(responses[i].resp);
	free(responses);
	return status;
}

static int
step(pam_handle_t *handle, const char *argument, int *outcome)
{
	char text[256];
	const char *value = strchr(argument, '=');

	snprintf(text, sizeof text, "%s", value != NULL ? value + 1 : "");
	for (char *each = text; *each != '\0'; each++)
		if (*each == '_')
			*each = ' ';
	if (strncmp(argument, "info=", 5) == 0)
		return pam_info(handle, "%s", text);
	if (strncmp(argument, "error=", 6) == 0)
		return pam_error(handle, "%s", text);
	if (strncmp(argument, "ask=", 4) == 0)
		return ask(handle, text, PAM_PROMPT_ECHO_OFF, outcome);
	if (strncmp(argument, "show=", 5) == 0)
		return ask(handle, text, PAM_PROMPT_ECHO_ON, outcome);
	if (strcmp(argument, "together") == 0)
		return ask_together(handle, outcome);
	if (strncmp(argument, "user=", 5) == 0)
		return pam_set_item(handle, PAM_USER, text);
	if (strncmp(argument, "sleep=", 6) == 0)
		sleep((unsigned)atoi(text));
	else if (strncmp(argument, "return=", 7) == 0)
		*outcome = atoi(text);
	return PAM_SUCCESS;
}

static int
talk(pam_handle_t *handle, int count, const char **arguments)
{
	int outcome = PAM_SUCCESS, status = PAM_SUCCESS;

	for (int i = 0; i < count && status == PAM_SUCCESS; i++)
		status = step(handle, arguments[i], &outcome);
	return status == PAM_SUCCESS ? outcome : status;
}

int
pam_sm_authenticate(pam_handle_t *handle, int flags, int count, const char **arguments)
{
	(void)flags;
	return talk(handle, count, arguments);
}

int
pam_sm_setcred(pam_handle_t *handle, int flags, int count, const char **arguments)
{
	(void)handle, (void)flags, (void)count, (void)arguments;
	return PAM_SUCCESS;
}

int
pam_sm_acct_mgmt(pam_handle_t *handle, int flags, int count, const char **arguments)
{
	(void)flags;
	return talk(handle, count, arguments);
}

int
pam_sm_open_session(pam_handle_t *handle, int flags, int count, const char **arguments)
{
	(void)flags;
	return talk(handle, count, arguments);
}

int
pam_sm_close_session(pam_handle_t *handle, int flags, int count, const char **arguments)
{
	(void)handle, (void)flags, (void)count, (void)arguments;
	return PAM_SUCCESS;
}
