/*
 * A login's PAM transaction: its thread, what modules say and ask, and the session. The methods of
 * authentication that ask PAM are in pam_authenticate.c.
 */
#include "pam.h"
#include "pam_library.h"

#include <nacre/log.h>
#include <nacre/module.h>

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MODULE     "libnacre-pam.so.0"
#define TABLE      "nacre_pam_backend"
#define TEXT_MOST  ((size_t)64 * 1024) /* of what modules say in one login */
#define GROUP_MOST 65536

_Static_assert(sizeof(pthread_t) <= sizeof(unsigned long), "a thread fits");

const struct pam_library *
pam_library(void)
{
	static const struct pam_library *library;

	if (library == NULL) {
		const struct pam_library *table = nacre_module_table(MODULE, TABLE);
		if (table == NULL)
			nacre_log(NACRE_LOG_ERROR, "UsePAM: %s", dlerror());
		else if (strcmp(table->version, NACRE_VERSION) != 0)
			nacre_log(
			    NACRE_LOG_ERROR, "UsePAM: " MODULE " is of version %s", table->version);
		else
			library = table;
	}
	return library;
}

bool
pam_in_use(const struct login *login)
{
	return login->config->use_pam && login->server->privileged;
}

bool
pam_may_ask(const struct login *login)
{
	return login->pam == NULL || !login->pam->exhausted;
}

const char *
pam_reason(struct pam_login *pam, int status)
{
	return pam_library()->describe(pam->handle, status);
}

/* Turns ------------------------------------------------------------------------------------- */

static void
signal_turn(int event)
{
	const uint64_t one = 1;

	while (write(event, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void
take_turn(int event)
{
	uint64_t count;

	while (read(event, &count, sizeof count) < 0 && errno == EINTR)
		;
}

static void *
run_task(void *context)
{
	struct pam_login *pam = context;

	pam->result = pam->task(pam);
	pam->finished = true;
	signal_turn(pam->paused);
	return NULL;
}

/* Until the thread pauses; when the network process is gone first, nobody needs it any more. */
static void
wait_for_thread(struct pam_login *pam)
{
	struct pollfd polled[2] = {
	    {.fd = pam->paused, .events = POLLIN}, {.fd = pam->login->network}};

	while (poll(polled, 2, -1) < 0 || polled[0].revents == 0)
		if (polled[1].revents != 0)
			monitor_lost_network(pam->login);
	take_turn(pam->paused);
	if (!pam->finished)
		return;
	pthread_join((pthread_t)pam->thread, NULL);
	pam->running = false;
}

void
pam_begin(struct pam_login *pam, int (*task)(struct pam_login *pam), enum pam_talk talk)
{
	pthread_t thread;

	pam_cancel(pam);
	pam->task = task;
	pam->talk = talk;
	pam->result = PAM_SYSTEM_ERR;
	pam->finished = pam->cancelled = false;
	if (pthread_create(&thread, NULL, run_task, pam) != 0) {
		nacre_log(NACRE_LOG_ERROR, "PAM: no thread: %s", strerror(errno));
		pam->finished = true;
		return;
	}
	pam->thread = (unsigned long)thread;
	pam->running = true;
	wait_for_thread(pam);
}

void
pam_resume(struct pam_login *pam)
{
	signal_turn(pam->resumed);
	wait_for_thread(pam);
}

void
pam_cancel(struct pam_login *pam)
{
	pam->cancelled = true;
	while (pam->running)
		pam_resume(pam);
	nacre_buffer_clear(&pam->text);
	nacre_buffer_clear(&pam->prompt);
}

/* Conversation ------------------------------------------------------------------------------ */

static void
keep_text(struct pam_login *pam, const char *text)
{
	if (nacre_buffer_length(&pam->text) + strlen(text) < TEXT_MOST)
		nacre_put_format(&pam->text, "%s\n", text);
}

/* The peer is asked by the monitor, which answers when this thread's turn comes again. */
static char *
ask_peer(struct pam_login *pam, const char *prompt, bool echo)
{
	if (pam->cancelled)
		return NULL;
	nacre_buffer_clear(&pam->prompt);
	nacre_put_format(&pam->prompt, "%s", prompt);
	pam->echo = echo;
	signal_turn(pam->paused);
	take_turn(pam->resumed);
	char *response = pam->response;
	pam->response = NULL;
	return response;
}

static char *
answer_prompt(struct pam_login *pam, const char *prompt, bool echo)
{
	if (pam->talk == PAM_TALK_ASK)
		return ask_peer(pam, prompt, echo);
	return pam->talk == PAM_TALK_PASSWORD && !echo ? strdup(pam->password) : NULL;
}

static bool
answer_message(struct pam_login *pam, const struct pam_message *message, char **response)
{
	switch (message->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
	case PAM_PROMPT_ECHO_ON:
		*response =
		    answer_prompt(pam, message->msg, message->msg_style == PAM_PROMPT_ECHO_ON);
		return *response != NULL;
	case PAM_ERROR_MSG:
	case PAM_TEXT_INFO:
		keep_text(pam, message->msg);
		return true;
	default:
		return false;
	}
}

static void
free_responses(struct pam_response *responses, int count)
{
	for (int i = 0; i < count; i++)
		if (responses[i].resp != NULL) {
			explicit_bzero(responses[i].resp, strlen(responses[i].resp));
			free(responses[i].resp);
		}
	free(responses);
}

static int
converse(
    int count, const struct pam_message **messages, struct pam_response **answers, void *context)
{
	struct pam_login *pam = context;
	struct pam_response *responses;

	*answers = NULL;
	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	responses = calloc((size_t)count, sizeof *responses);
	if (responses == NULL)
		return PAM_CONV_ERR;
	for (int i = 0; i < count; i++)
		if (!answer_message(pam, messages[i], &responses[i].resp)) {
			free_responses(responses, count);
			return PAM_CONV_ERR;
		}
	*answers = responses;
	return PAM_SUCCESS;
}

/* Who was cancelled is not kept waiting for having failed. */
static void
delay(int status, unsigned microseconds, void *context)
{
	const struct pam_login *pam = context;

	if (status != PAM_SUCCESS && !pam->cancelled)
		usleep(microseconds);
}

/* The transaction --------------------------------------------------------------------------- */

static void
describe_peer(struct pam_login *pam)
{
	const struct pam_library *library = pam_library();
	const struct peer *peer = &pam->login->peer;
	char text[300];
	union {
		void (*function)(int, unsigned, void *);
		const void *item;
	} fail_delay = {.function = delay};

	library->set_item(pam->handle, PAM_RHOST, login_remote_name(pam->login));
	library->set_item(pam->handle, PAM_TTY, "ssh");
	library->set_item(pam->handle, PAM_FAIL_DELAY, fail_delay.item);
	snprintf(text, sizeof text, "SSH_CONNECTION=%s %d %s %d", peer->address, peer->port,
	    peer->local_address, peer->local_port);
	library->put_environment(pam->handle, text);
}

static bool
open_transaction(struct pam_login *pam)
{
	const struct pam_conv conversation = {.conv = converse, .appdata_ptr = pam};
	const char *service = pam->login->config->pam_service_name;
	pam_handle_t *handle = NULL;

	pam->paused = eventfd(0, EFD_CLOEXEC);
	pam->resumed = eventfd(0, EFD_CLOEXEC);
	if (pam_library() == NULL || pam->paused < 0 || pam->resumed < 0)
		return false;
	int status =
	    pam_library()->start(service, pam->login->authentication.user, &conversation, &handle);
	if (status != PAM_SUCCESS) {
		nacre_log(
		    NACRE_LOG_ERROR, "PAM: pam_start() for service %s: error %d", service, status);
		return false;
	}
	pam->handle = handle;
	describe_peer(pam);
	return true;
}

struct pam_login *
pam_of(struct login *login)
{
	if (login->pam == NULL) {
		login->pam = calloc(1, sizeof *login->pam);
		if (login->pam == NULL)
			nacre_fatal("out of memory");
		login->pam->login = login;
		if (!open_transaction(login->pam))
			nacre_log(NACRE_LOG_ERROR, "PAM cannot be used: nobody can log in");
	}
	return login->pam->handle != NULL ? login->pam : NULL;
}

void
pam_preload(const struct server *server)
{
	static struct pam_login nobody; /* for as long as the process: its modules stay loaded */
	const struct pam_conv conversation = {.conv = converse, .appdata_ptr = &nobody};
	pam_handle_t *handle = NULL;

	/* What its configuration says is read again for the login itself. */
	if (server->config->use_pam && server->privileged && pam_library() != NULL &&
	    pam_library()->start(
		server->config->pam_service_name, "root", &conversation, &handle) == PAM_SUCCESS)
		nobody.handle = handle;
}

/* The session ------------------------------------------------------------------------------- */

/* Modules may have added groups to the process; they are the session's. */
static void
take_groups(struct nacre_account *account)
{
	int count = getgroups(0, NULL);
	gid_t *groups =
	    count > 0 && count <= GROUP_MOST ? calloc((size_t)count, sizeof *groups) : NULL;

	if (groups == NULL || getgroups(count, groups) != count) {
		free(groups);
		return;
	}
	free(account->groups);
	account->groups = groups;
	account->group_count = (size_t)count;
}

static bool
establish_credentials(struct pam_login *pam)
{
	struct nacre_account *account = &pam->login->account;

	(void)setgroups(account->group_count, account->groups);
	int status = pam_library()->credentials(pam->handle, PAM_ESTABLISH_CRED);
	take_groups(account);
	(void)setgroups(0, NULL);
	if (status == PAM_SUCCESS)
		return true;
	nacre_log(pam->authenticated ? NACRE_LOG_ERROR : NACRE_LOG_DEBUG1, "PAM: pam_setcred(): %s",
	    pam_reason(pam, status));
	return !pam->authenticated;
}

static void
open_with_groups(struct pam_login *pam)
{
	struct login *login = pam->login;

	if (!establish_credentials(pam)) {
		login->session_refused = true;
		return;
	}
	int status = pam_library()->open_session(pam->handle, 0);
	pam->session_open = status == PAM_SUCCESS;
	login->session_refused = status != PAM_SUCCESS;
	if (status != PAM_SUCCESS)
		nacre_log(NACRE_LOG_ERROR, "PAM: pam_open_session(): %s", pam_reason(pam, status));
	login->pam_environment = pam_library()->environment(pam->handle);
}

static void
put_methods(struct pam_login *pam)
{
	char *text =
	    nacre_span_to_string(nacre_buffer_span(&pam->login->authentication.methods_text));
	struct nacre_buffer assignment = {0};

	nacre_put_format(&assignment, "SSH_AUTH_INFO_0=%s", text != NULL ? text : "");
	nacre_put_byte(&assignment, 0);
	if (!assignment.failed)
		pam_library()->put_environment(
		    pam->handle, (const char *)assignment.data + assignment.start);
	nacre_buffer_free(&assignment);
	free(text);
}

void
pam_start_session(struct login *login)
{
	struct pam_login *pam = pam_in_use(login) ? pam_of(login) : NULL;

	login->session_refused = pam_in_use(login) && pam == NULL;
	if (pam == NULL)
		return;
	pam->talk = PAM_TALK_SILENT;
	put_methods(pam);
	open_with_groups(pam);
	nacre_put_span(&login->messages, nacre_buffer_span(&pam->text));
	nacre_buffer_clear(&pam->text);
}

void
pam_end_login(struct login *login)
{
	struct pam_login *pam = login->pam;

	if (pam == NULL || pam->handle == NULL || pam->running)
		return;
	pam->talk = PAM_TALK_SILENT;
	if (pam->session_open) {
		(void)pam_library()->close_session(pam->handle, 0);
		(void)pam_library()->credentials(pam->handle, PAM_DELETE_CRED);
	}
	pam_library()->end(pam->handle, pam->result);
	pam->handle = NULL;
}
