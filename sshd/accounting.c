/* The records of logins: utmp, wtmp, lastlog, and btmp for those that failed. What cannot be written
 * is not there: containers have none of them. */
#include "login.h"

#include <nacre/log.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <lastlog.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>
#include <utmpx.h>

#define NO_TERMINAL   "ssh:notty"
#define FAILED_LOGINS "/var/log/btmp"

/* The fields are padded, and not ended, by zeros. */
static void
put_field(char *field, size_t room, const char *text)
{
	size_t length = strlen(text);

	memcpy(field, text, length < room ? length : room);
}
#define PUT_FIELD(field, text) put_field(field, sizeof(field), text)

/* What tells the entries of terminals apart in utmp: the end of the name. */
static void
put_identifier(struct utmpx *entry, const char *line)
{
	size_t length = strlen(line), room = sizeof entry->ut_id;

	PUT_FIELD(entry->ut_id, line + (length > room ? length - room : 0));
}

static void
put_address(struct utmpx *entry, const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, address, &v4) == 1)
		memcpy(entry->ut_addr_v6, &v4, sizeof v4);
	else if (inet_pton(AF_INET6, address, &v6) == 1)
		memcpy(entry->ut_addr_v6, &v6, sizeof v6);
}

static struct utmpx
entry_of(short type, const char *line)
{
	struct utmpx entry = {.ut_type = type, .ut_pid = getpid()};
	struct timeval now;

	gettimeofday(&now, NULL);
	entry.ut_tv.tv_sec = (__typeof__(entry.ut_tv.tv_sec))now.tv_sec;
	entry.ut_tv.tv_usec = (__typeof__(entry.ut_tv.tv_usec))now.tv_usec;
	PUT_FIELD(entry.ut_line, line);
	return entry;
}

static void
write_utmp(const struct utmpx *entry)
{
	setutxent();
	(void)pututxline(entry);
	endutxent();
	updwtmpx(_PATH_WTMP, entry);
}

/* lastlog --------------------------------------------------------------------------------- */

static void
put_last(const struct lastlog *last, struct nacre_buffer *text)
{
	time_t seconds = last->ll_time;
	char when[64];
	struct tm parts;

	if (seconds == 0 || localtime_r(&seconds, &parts) == NULL)
		return;
	strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &parts);
	nacre_put_format(text, "Last login: %s", when);
	if (last->ll_host[0] != '\0')
		nacre_put_format(
		    text, " from %.*s", (int)sizeof last->ll_host, (const char *)last->ll_host);
}

/* One entry a user number, in a file with holes. */
static void
update_lastlog(struct login *login, const char *line, struct nacre_buffer *text)
{
	off_t offset = (off_t)login->account.uid * (off_t)sizeof(struct lastlog);
	struct lastlog last = {0};
	int fd = open(_PATH_LASTLOG, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return;
	if (pread(fd, &last, sizeof last, offset) == sizeof last)
		put_last(&last, text);
	last = (struct lastlog){.ll_time = (__typeof__(last.ll_time))time(NULL)};
	PUT_FIELD(last.ll_line, line);
	PUT_FIELD(last.ll_host, login_remote_name(login));
	if (pwrite(fd, &last, sizeof last, offset) != sizeof last)
		nacre_log(NACRE_LOG_ERROR, "%s: %s", _PATH_LASTLOG, strerror(errno));
	close(fd);
}

/* ----------------------------------------------------------------------------------------- */

void
accounting_login(struct login *login, const char *line, struct nacre_buffer *text)
{
	struct utmpx entry = entry_of(USER_PROCESS, line);

	put_identifier(&entry, line);
	PUT_FIELD(entry.ut_user, login->account.name);
	PUT_FIELD(entry.ut_host, login_remote_name(login));
	put_address(&entry, login->peer.address);
	write_utmp(&entry);
	update_lastlog(login, line, text);
}

void
accounting_logout(const char *line)
{
	struct utmpx entry = entry_of(DEAD_PROCESS, line);

	put_identifier(&entry, line);
	write_utmp(&entry);
}

void
accounting_failure(struct login *login)
{
	struct utmpx entry = entry_of(LOGIN_PROCESS, NO_TERMINAL);
	struct stat status;
	int fd = login->server->privileged
		     ? open(FAILED_LOGINS, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW)
		     : -1;

	if (fd < 0)
		return;
	PUT_FIELD(entry.ut_user, login->authentication.user);
	PUT_FIELD(entry.ut_host, login_remote_name(login));
	put_address(&entry, login->peer.address);
	/* It may hold passwords that were typed for a user's name. */
	if (fstat(fd, &status) != 0 || status.st_uid != 0 ||
	    (status.st_mode & (S_IXGRP | S_IRWXO)) != 0)
		nacre_log(
		    NACRE_LOG_INFO, "Excess permission or bad ownership on file %s", FAILED_LOGINS);
	else if (write(fd, &entry, sizeof entry) != sizeof entry)
		nacre_log(NACRE_LOG_ERROR, "%s: %s", FAILED_LOGINS, strerror(errno));
	close(fd);
}
