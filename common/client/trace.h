/* Where the time of a login went (LoginTrace). All calls do nothing when "trace" is NULL. */
#ifndef CLIENT_TRACE_H
#define CLIENT_TRACE_H

#include <nacre/wire.h>

#include <stdbool.h>
#include <stdint.h>

struct login_trace;

struct login_trace *trace_new(void);
void trace_free(struct login_trace *trace);
/* From now on time belongs to the stage of this name; "detail" (may be NULL) stands behind it. */
void trace_stage(struct login_trace *trace, const char *name, const char *detail);
/* Time that passes between the two is spent on waiting. */
void trace_wait_begin(struct login_trace *trace);
void trace_wait_end(struct login_trace *trace);
/* Something was sent; something was received: one round trip, if something was sent before. */
void trace_sent(struct login_trace *trace);
void trace_received(struct login_trace *trace);
/* The round trip of the network alone, in microseconds; UINT32_MAX: not known. */
void trace_network(struct login_trace *trace, uint32_t microseconds);
/* The table, as lines. */
void trace_put(struct login_trace *trace, const char *host, struct nacre_buffer *text);

#endif
