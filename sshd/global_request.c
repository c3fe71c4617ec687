/* Global requests of the client (RFC 4254 section 4). An answer may take its time; the client gets
 * all of them in the order of its requests. */
#include "monitor.h"
#include "user_session.h"

#include <nacre/log.h>

#include <stdlib.h>

struct global_reply {
	struct global_reply *next;
	bool ready, success;
	struct nacre_buffer payload;
};

static struct global_reply *
reply_later(struct user_session *user)
{
	struct global_reply *reply = calloc(1, sizeof *reply), **last = &user->replies;

	if (reply == NULL)
		nacre_fatal("out of memory");
	while (*last != NULL)
		last = &(*last)->next;
	*last = reply;
	return reply;
}

void
global_reply(
    struct user_session *user, struct global_reply *reply, bool success, struct nacre_span payload)
{
	if (reply == NULL)
		return;
	reply->ready = true;
	reply->success = success;
	nacre_put_span(&reply->payload, payload);
	while ((reply = user->replies) != NULL && reply->ready) {
		user->replies = reply->next;
		nacre_global_request_reply(
		    user->session, reply->success, nacre_buffer_span(&reply->payload));
		nacre_buffer_free(&reply->payload);
		free(reply);
	}
}

/* hostkeys-prove-00@openssh.com: the monitor proves that we have the keys. */
static void
prove(struct user_session *user, struct nacre_span blobs, struct global_reply *reply)
{
	struct nacre_buffer frame = {0};
	struct nacre_reader reader;
	uint8_t type;

	frame_begin(&frame, MONITOR_PROVE);
	nacre_put_span(&frame, blobs);
	if (frame_send(user->monitor_fd, &frame) != 0 ||
	    frame_receive(user->monitor_fd, &frame, MONITOR_FRAME_LIMIT, &type, &reader) != 0 ||
	    type != MONITOR_SIGNATURE)
		user_leave(user, 255);
	struct nacre_span signatures = nacre_get_string(&reader);
	global_reply(user, reply, signatures.length > 0, signatures);
	nacre_buffer_free(&frame);
}

void
global_request(struct user_session *user, const struct nacre_event *event)
{
	const struct nacre_span none = {NULL, 0}, name = event->u.global_request.name;
	struct global_reply *reply = event->u.global_request.want_reply ? reply_later(user) : NULL;

	if (event->u.global_request.kind != NACRE_GLOBAL_OTHER)
		forward_request(user, event, reply);
	else if (nacre_span_equals(name, "hostkeys-prove-00@openssh.com") && reply != NULL)
		prove(user, event->u.global_request.payload, reply);
	else
		global_reply(
		    user, reply, nacre_span_equals(name, "no-more-sessions@openssh.com"), none);
}
