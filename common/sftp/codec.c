/*
 * The encoding of SFTP version 3: file attributes and status codes. Messages live with their ends.
 */
#include <nacre/sftp.h>

static const char *const status_strings[] = {
    [NACRE_SFTP_OK] = "Success",
    [NACRE_SFTP_EOF] = "End of file",
    [NACRE_SFTP_NO_SUCH_FILE] = "No such file",
    [NACRE_SFTP_PERMISSION_DENIED] = "Permission denied",
    [NACRE_SFTP_FAILURE] = "Failure",
    [NACRE_SFTP_BAD_MESSAGE] = "Bad message",
    [NACRE_SFTP_NO_CONNECTION] = "No connection",
    [NACRE_SFTP_CONNECTION_LOST] = "Connection lost",
    [NACRE_SFTP_OP_UNSUPPORTED] = "Operation unsupported",
};

const char *
nacre_sftp_status_string(uint32_t status)
{
	if (status >= sizeof status_strings / sizeof status_strings[0])
		return "Unknown status";
	return status_strings[status];
}

void
nacre_sftp_get_attributes(struct nacre_reader *reader, struct nacre_sftp_attributes *attributes)
{
	uint32_t pairs;

	*attributes = (struct nacre_sftp_attributes){.flags = nacre_get_u32(reader)};
	if (attributes->flags & NACRE_SFTP_ATTR_SIZE)
		attributes->size = nacre_get_u64(reader);
	if (attributes->flags & NACRE_SFTP_ATTR_OWNER) {
		attributes->uid = nacre_get_u32(reader);
		attributes->gid = nacre_get_u32(reader);
	}
	if (attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS)
		attributes->permissions = nacre_get_u32(reader);
	if (attributes->flags & NACRE_SFTP_ATTR_TIMES) {
		attributes->atime = nacre_get_u32(reader);
		attributes->mtime = nacre_get_u32(reader);
	}
	if (attributes->flags & NACRE_SFTP_ATTR_EXTENDED) {
		/* Each pair takes bytes, so a false count ends with the message. */
		for (pairs = nacre_get_u32(reader); pairs > 0 && !reader->failed; pairs--) {
			nacre_get_string(reader);
			nacre_get_string(reader);
		}
	}
	if (reader->failed)
		*attributes = (struct nacre_sftp_attributes){0};
}

void
nacre_sftp_put_attributes(
    struct nacre_buffer *buffer, const struct nacre_sftp_attributes *attributes)
{
	nacre_put_u32(buffer, attributes->flags & ~(uint32_t)NACRE_SFTP_ATTR_EXTENDED);
	if (attributes->flags & NACRE_SFTP_ATTR_SIZE)
		nacre_put_u64(buffer, attributes->size);
	if (attributes->flags & NACRE_SFTP_ATTR_OWNER) {
		nacre_put_u32(buffer, attributes->uid);
		nacre_put_u32(buffer, attributes->gid);
	}
	if (attributes->flags & NACRE_SFTP_ATTR_PERMISSIONS)
		nacre_put_u32(buffer, attributes->permissions);
	if (attributes->flags & NACRE_SFTP_ATTR_TIMES) {
		nacre_put_u32(buffer, attributes->atime);
		nacre_put_u32(buffer, attributes->mtime);
	}
}

static uint32_t
time_clamp(time_t seconds)
{
	if (seconds < 0)
		return 0;
	return seconds > (time_t)UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

void
nacre_sftp_attributes_of_stat(const struct stat *status, struct nacre_sftp_attributes *attributes)
{
	*attributes = (struct nacre_sftp_attributes){
	    .flags = NACRE_SFTP_ATTR_SIZE | NACRE_SFTP_ATTR_OWNER | NACRE_SFTP_ATTR_PERMISSIONS |
		     NACRE_SFTP_ATTR_TIMES,
	    .size = (uint64_t)status->st_size,
	    .uid = status->st_uid,
	    .gid = status->st_gid,
	    .permissions = status->st_mode,
	    .atime = time_clamp(status->st_atime),
	    .mtime = time_clamp(status->st_mtime),
	};
}
