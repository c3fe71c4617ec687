/*
 * The header in which a proxy in front of a server names the client: the PROXY protocol of HAProxy,
 * versions 1 (a line of text) and 2 (binary). To be believed of proxies that are known only.
 */
#ifndef NACRE_PROXY_HEADER_H
#define NACRE_PROXY_HEADER_H

#include <nacre/error.h>
#include <nacre/wire.h>

#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the longest header that is accepted, additional fields of version 2 included. */
#define NACRE_PROXY_HEADER_MOST ((size_t)1024)

struct nacre_proxy_header {
	size_t length; /* bytes that the header took */
	/* The connection is the proxy's own (a health check), or of a kind that has no addresses:
	 * the socket's addresses hold. */
	bool local;
	int family;                          /* AF_INET or AF_INET6 */
	uint8_t source[16], destination[16]; /* 4 or 16 bytes in network order */
	uint16_t source_port, destination_port;
};

/* 1 with *header filled when "text" begins with a whole header, 0 when more must come,
 * NACRE_ERROR_MEMORY for one that is too long, NACRE_ERROR_UNSUPPORTED for another version or a
 * transport that is no stream, NACRE_ERROR_FORMAT for what is no header. */
int nacre_proxy_header_parse(struct nacre_span text, struct nacre_proxy_header *header);

#ifdef __cplusplus
}
#endif
#endif
