/* Text of several lines, from a file, a server or the configuration, for the log. */
#include <client/client.h>

#include <string.h>

void
log_lines(enum nacre_log_level level, struct nacre_span text)
{
	while (text.length > 0) {
		const uint8_t *const end = memchr(text.data, '\n', text.length);
		size_t length = end != NULL ? (size_t)(end - text.data) : text.length;
		const size_t step = end != NULL ? length + 1 : length;

		if (length > 0 && text.data[length - 1] == '\r')
			length--;
		nacre_log(level, "%.*s", (int)length, (const char *)text.data);
		text.data += step;
		text.length -= step;
	}
}
