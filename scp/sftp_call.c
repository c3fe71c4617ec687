/* sftp: what commands ask of their line. */
#include <scp/sftp_call.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool
call_has(const struct call *call, char letter)
{
	const char *const place = strchr(call->command->flags, letter);

	return place != NULL && (call->flags >> (place - call->command->flags) & 1) != 0;
}

int
call_status(const struct call *call, bool good)
{
	return call->sftp->remote.lost ? -1 : good ? 0 : 1;
}

bool
call_number(const struct call *call, int base, unsigned long most, uint32_t *number)
{
	char *end;

	errno = 0;
	const unsigned long value = strtoul(call->words[0], &end, base);
	*number = (uint32_t)value;
	if (errno == 0 && *end == '\0' && call->words[0][0] >= '0' && call->words[0][0] <= '9' &&
	    value <= most)
		return true;
	complain("You must supply a numeric argument to the %s command.", call->command->name);
	return false;
}

bool
call_server_has(const struct call *call, enum nacre_sftp_extension extension)
{
	return (nacre_sftp_extensions(call->sftp->remote.sftp) & (uint32_t)extension) != 0;
}

/* A plain name as seen from the remote directory. */
char *
call_remote_name(const struct call *call, size_t word)
{
	char *const name = glob_unquote(call->words[word]);
	char *const path = remote_absolute(&call->sftp->remote, name);

	free(name);
	return path;
}
