/*
 * The control lines of the rcp protocol, which "scp -O" speaks with "scp -t" and "scp -f" at the
 * other end. There is no standard; the forms are those of BSD rcp(1).
 */
#ifndef NACRE_RCP_H
#define NACRE_RCP_H

#include <nacre/wire.h>

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_RCP_LINE_MAX ((size_t)16384) /* bytes; a longer line ends the transfer */

enum nacre_rcp_kind {
	NACRE_RCP_OK = 0,      /* a byte of its own, without a line */
	NACRE_RCP_WARNING = 1, /* name: the text */
	NACRE_RCP_FATAL = 2,
	NACRE_RCP_FILE = 'C',      /* mode, size, name */
	NACRE_RCP_DIRECTORY = 'D', /* the same; its entries follow up to END */
	NACRE_RCP_END = 'E',
	NACRE_RCP_TIMES = 'T' /* modified, accessed: of the entry that follows */
};

struct nacre_rcp_message {
	enum nacre_rcp_kind kind;
	uint32_t mode;          /* permission bits, at most 07777 */
	uint64_t size;          /* bytes */
	struct nacre_span name; /* one path component, any bytes; or the text */
	struct timespec modified, accessed;
};

/* Reads a line, without its LF. 0, NACRE_ERROR_FORMAT, or NACRE_ERROR_REFUSED when its name is not
 * one component of a path ("..", or with a slash). */
int nacre_rcp_parse(struct nacre_span line, struct nacre_rcp_message *message);

#ifdef __cplusplus
}
#endif
#endif
