/*
 * The head of an HTTP/1 request (RFC 9112), as far as a server of one page needs it: bounded, and
 * strict where it matters.
 */
#ifndef NACRE_HTTP_REQUEST_H
#define NACRE_HTTP_REQUEST_H

#include <nacre/error.h>
#include <nacre/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_HTTP_REQUEST_MOST ((size_t)4096) /* bytes of the whole head */

/* Spans into the text that was parsed. */
struct nacre_http_request {
	struct nacre_span method;
	struct nacre_span path; /* without the query */
};

/* 1 with *request filled when "text" begins with a whole head, 0 when more must come,
 * NACRE_ERROR_MEMORY for one that is too long, NACRE_ERROR_FORMAT for what is none. */
int nacre_http_request_parse(struct nacre_span text, struct nacre_http_request *request);

#ifdef __cplusplus
}
#endif
#endif
