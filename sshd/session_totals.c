/* What a session has done so far, told to its monitor for the metrics: at most once a second, and
 * only when there is something new. */
#include "monitor.h"
#include "user_session.h"

#include <string.h>

#define TOTALS_MS 1000

void
totals_tell(struct user_session *user, bool at_once)
{
	const uint64_t channels = nacre_session_channel_count(user->session);
	const struct metrics_totals now = {user->sent, user->received, user->rekeys,
	    user->channels_opened, at_once ? 0 : channels};
	struct nacre_buffer frame = {0};

	if (user->config->metrics_listen == NULL ||
	    memcmp(&now, &user->totals_told, sizeof now) == 0 ||
	    (!at_once && nacre_clock_ms() < user->totals_due))
		return;
	frame_begin(&frame, MONITOR_STATISTICS);
	nacre_put_u64(&frame, now.sent);
	nacre_put_u64(&frame, now.received);
	nacre_put_u64(&frame, now.rekeys);
	nacre_put_u64(&frame, now.channels_opened);
	nacre_put_u32(&frame, (uint32_t)now.channels);
	(void)frame_send(user->monitor_fd, &frame);
	nacre_buffer_free(&frame);
	user->totals_told = now;
	user->totals_due = nacre_clock_ms() + TOTALS_MS;
}

uint64_t
totals_deadline(const struct user_session *user)
{
	bool changed = user->sent != user->totals_told.sent ||
		       user->received != user->totals_told.received ||
		       user->channels_opened != user->totals_told.channels_opened;

	return changed && user->config->metrics_listen != NULL ? user->totals_due : UINT64_MAX;
}
