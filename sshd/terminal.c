/*
 * Terminals as the monitor gives them to the session process, which may be in a root directory
 * without any: it opens them, hands them to their user, and keeps the records of logins on them.
 */
#include "login.h"

#include <nacre/log.h>
#include <nacre/pty.h>

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICES "/dev/"

struct terminal {
	struct terminal *next;
	char name[NACRE_PTY_NAME_LENGTH];
	bool recorded;
};

static struct terminal *
find_terminal(const struct login *login, struct nacre_span name)
{
	struct terminal *terminal = login->terminals;

	while (terminal != NULL && !nacre_span_equals(name, terminal->name))
		terminal = terminal->next;
	return terminal;
}

static int
count_terminals(const struct login *login)
{
	int count = 0;

	for (const struct terminal *each = login->terminals; each != NULL; each = each->next)
		count++;
	return count;
}

/* As login(1) leaves it: the user's, and writable for the programs of group tty. */
static void
give_to_user(const struct login *login, int fd)
{
	const struct group *entry = geteuid() == 0 ? getgrnam("tty") : NULL;
	gid_t gid = entry != NULL ? entry->gr_gid : login->account.gid;

	if (geteuid() == 0 && (fchown(fd, login->account.uid, gid) != 0 ||
				  fchmod(fd, entry != NULL ? 0620 : 0600) != 0))
		nacre_log(
		    NACRE_LOG_ERROR, "terminal of %s: %s", login->account.name, strerror(errno));
}

static struct terminal *
make_terminal(struct login *login, int fds[2])
{
	struct terminal *terminal = calloc(1, sizeof *terminal);

	if (terminal == NULL || count_terminals(login) >= login->config->max_sessions ||
	    nacre_pty_open(&fds[0], &fds[1], terminal->name) != 0) {
		nacre_log(NACRE_LOG_ERROR, "openpty: %s", strerror(errno));
		free(terminal);
		return NULL;
	}
	give_to_user(login, fds[1]);
	terminal->next = login->terminals;
	login->terminals = terminal;
	return terminal;
}

int
terminal_open(struct login *login, struct nacre_reader *request)
{
	struct nacre_buffer frame = {0};
	int fds[2] = {-1, -1};

	if (!nacre_reader_done(request))
		return NACRE_ERROR_PROTOCOL;
	const struct terminal *terminal = make_terminal(login, fds);
	frame_begin(&frame, MONITOR_TERMINAL_OPENED);
	nacre_put_cstring(&frame, terminal != NULL ? terminal->name : "");
	int error = frame_send_with(login->network, &frame, fds, terminal != NULL ? 2 : 0);
	nacre_buffer_free(&frame);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return error;
}

int
terminal_login(struct login *login, struct nacre_reader *request)
{
	struct terminal *terminal = find_terminal(login, nacre_get_string(request));
	struct nacre_buffer frame = {0}, text = {0};

	if (!nacre_reader_done(request) || terminal == NULL || terminal->recorded)
		return NACRE_ERROR_PROTOCOL;
	terminal->recorded = true;
	accounting_login(login, terminal->name + strlen(DEVICES), &text);
	audit_login(login, terminal->name);
	frame_begin(&frame, MONITOR_LOGIN_RECORDED);
	nacre_put_string_span(&frame, nacre_buffer_span(&text));
	int error = frame_send(login->network, &frame);
	nacre_buffer_free(&frame);
	nacre_buffer_free(&text);
	return error;
}

static void
remove_terminal(struct login *login, struct terminal *terminal)
{
	struct terminal **at = &login->terminals;

	if (terminal->recorded)
		accounting_logout(terminal->name + strlen(DEVICES));
	while (*at != terminal)
		at = &(*at)->next;
	*at = terminal->next;
	free(terminal);
}

int
terminal_logout(struct login *login, struct nacre_reader *request)
{
	struct terminal *terminal = find_terminal(login, nacre_get_string(request));

	if (!nacre_reader_done(request) || terminal == NULL)
		return NACRE_ERROR_PROTOCOL;
	remove_terminal(login, terminal);
	return 0;
}

void
terminal_logout_all(struct login *login)
{
	while (login->terminals != NULL)
		remove_terminal(login, login->terminals);
}
