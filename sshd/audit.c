/*
 * The kernel's audit trail: a record for each login on a terminal, and for each connection that ended
 * after attempts in vain, as aureport(8) and ausearch(8) look for them. What PAM's modules do, its
 * library records itself. Where the kernel has no audit trail, nothing is written.
 */
#include "login.h"

#include <nacre/log.h>

#include <ctype.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORD_LOGIN 1112 /* USER_LOGIN of libaudit, which the kernel's headers do not name */

static bool
is_word(const char *value)
{
	const char *byte = value;

	while (isgraph((unsigned char)*byte) && *byte != '"')
		byte++;
	return byte > value && *byte == '\0';
}

/* In quotes, or what is not one word in hexadecimal digits, as the format has it. */
static void
put_value(struct nacre_buffer *text, const char *value)
{
	if (is_word(value)) {
		nacre_put_format(text, "\"%s\"", value);
		return;
	}
	for (; *value != '\0'; value++)
		nacre_put_format(text, "%02X", (unsigned)(unsigned char)*value);
}

static void
put_program(struct nacre_buffer *text)
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

	path[length > 0 ? length : 0] = '\0';
	nacre_put_format(text, " exe=");
	put_value(text, path);
}

/* To the kernel, which adds who has sent it. */
static void
send_record(uint16_t type, const struct nacre_buffer *text)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	size_t length = NLMSG_SPACE(nacre_buffer_length(text) + 1);
	struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST};
	struct nacre_buffer message = {0};

	header.nlmsg_len = (uint32_t)length;
	nacre_put_bytes(&message, &header, sizeof header);
	nacre_put_span(&message, nacre_buffer_span(text));
	while (!message.failed && nacre_buffer_length(&message) < length)
		nacre_put_byte(&message, 0);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	struct nacre_span all = nacre_buffer_span(&message);
	if (fd < 0 || message.failed ||
	    sendto(fd, all.data, all.length, MSG_DONTWAIT, (const struct sockaddr *)&kernel,
		sizeof kernel) < 0)
		nacre_log(NACRE_LOG_DEBUG1, "audit: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	nacre_buffer_free(&message);
}

void
audit_login(struct login *login, const char *terminal)
{
	const char *host = login_remote_name(login);
	struct nacre_buffer text = {0};

	if (!login->server->privileged)
		return;
	nacre_put_format(&text, "op=login id=%ld", (long)login->account.uid);
	put_program(&text);
	nacre_put_format(&text, " hostname=%s addr=%s terminal=%s res=success",
	    is_word(host) ? host : "?", login->peer.address, terminal);
	send_record(RECORD_LOGIN, &text);
	nacre_buffer_free(&text);
}

/* A name that nobody has may be a password in the wrong place: it is not written down. */
void
audit_failure(const struct login *login)
{
	const char *user = login->account.exists ? login->account.name : "(invalid user)";
	struct nacre_buffer text = {0};

	if (!login->server->privileged || !login->authentication.started)
		return;
	nacre_put_format(&text, "op=login acct=");
	put_value(&text, user);
	put_program(&text);
	nacre_put_format(
	    &text, " hostname=? addr=%s terminal=sshd res=failed", login->peer.address);
	send_record(RECORD_LOGIN, &text);
	nacre_buffer_free(&text);
}
