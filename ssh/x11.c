/* The display that is forwarded, and its cookie: from DISPLAY, and from xauth. */
#include "ssh/x11.h"

#include <nacre/crypto.h>
#include <nacre/file.h>
#include <nacre/log.h>
#include <nacre/process.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX    ((size_t)1024 * 1024)
#define COOKIE_LENGTH 16
/* The display refuses a little later than we do, so that it is we who say why. */
#define TIMEOUT_SLACK 60

extern char **environ;

/* Runs xauth quietly, and takes what it prints. */
static bool
run_xauth(char *const *arguments, struct nacre_buffer *output)
{
	int ends[2], status = -1;
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || pipe2(ends, O_CLOEXEC) != 0) {
		close(null);
		return false;
	}
	const struct nacre_process_start start = {.path = arguments[0],
	    .arguments = arguments,
	    .environment = environ,
	    .input = null,
	    .output = ends[1],
	    .error = null,
	    .keep = -1};
	const pid_t child = nacre_process_start(&start);
	close(null);
	close(ends[1]);
	const bool good = child > 0 && nacre_file_read_descriptor(ends[0], OUTPUT_MAX, output) == 0;
	close(ends[0]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The first cookie that xauth lists. */
static bool
list_cookie(
    const char *xauth, const char *file, const char *display, struct nacre_x11_cookie *cookie)
{
	char *const all[] = {(char *)xauth, "-f", (char *)file, "list", (char *)display, NULL};
	char *const usual[] = {(char *)xauth, "list", (char *)display, NULL};
	struct nacre_buffer output = {0};
	bool found = false;

	if (run_xauth(file != NULL ? all : usual, &output)) {
		struct nacre_span line = nacre_buffer_span(&output);
		const uint8_t *const end = memchr(line.data, '\n', line.length);

		if (end != NULL)
			line.length = (size_t)(end - line.data);
		found = nacre_x11_cookie_read(cookie, line);
	}
	nacre_buffer_free(&output);
	return found;
}

/* A cookie of its own for clients that are not trusted, in a file of its own. */
static bool
generate_cookie(
    const char *xauth, const char *display, int timeout, struct nacre_x11_cookie *cookie)
{
	char directory[] = "/tmp/ssh-XXXXXXXXXX", file[sizeof directory + 8], seconds[16];
	struct nacre_buffer output = {0};

	if (mkdtemp(directory) == NULL)
		return false;
	snprintf(file, sizeof file, "%s/xauth", directory);
	snprintf(seconds, sizeof seconds, "%d", timeout > 0 ? timeout + TIMEOUT_SLACK : 0);
	char *const arguments[] = {(char *)xauth, "-f", file, "generate", (char *)display,
	    "MIT-MAGIC-COOKIE-1", "untrusted", "timeout", seconds, NULL};
	const bool good =
	    run_xauth(arguments, &output) && list_cookie(xauth, file, display, cookie);
	nacre_buffer_free(&output);
	unlink(file);
	rmdir(directory);
	return good;
}

/* xauth knows displays of this machine by another name. */
static void
name_for_xauth(const char *display, char *name, size_t room)
{
	static const char localhost[] = "localhost:";
	const size_t length = sizeof localhost - 1;

	if (strncmp(display, localhost, length) == 0)
		snprintf(name, room, "unix:%s", display + length);
	else
		snprintf(name, room, "%s", display);
}

/* Without one of the display's, a display that lets anybody in will take any. */
static void
invent_cookie(struct nacre_x11_cookie *cookie)
{
	nacre_log(NACRE_LOG_INFO,
	    "Warning: No xauth data; using fake authentication data for X11 forwarding.");
	snprintf(cookie->protocol, sizeof cookie->protocol, "MIT-MAGIC-COOKIE-1");
	cookie->length = COOKIE_LENGTH;
	nacre_random(cookie->real, cookie->length);
}

bool
x11_prepare(struct x11_forward *x11, const struct nacre_ssh_config *config)
{
	const char *const display = getenv("DISPLAY");
	const char *const xauth = config->xauth_location;
	char name[NACRE_X11_PATH_MAX];

	if (display == NULL || *display == '\0') {
		nacre_log(NACRE_LOG_DEBUG1, "client_x11_get_proto: DISPLAY not set");
		return false;
	}
	if (nacre_x11_display_parse(display, &x11->display) != 0) {
		nacre_log(
		    NACRE_LOG_ERROR, "DISPLAY \"%s\" invalid; disabling X11 forwarding", display);
		return false;
	}
	name_for_xauth(display, name, sizeof name);
	const bool usable = xauth != NULL && access(xauth, X_OK) == 0;
	if (!usable)
		nacre_log(NACRE_LOG_DEBUG1, "No xauth program.");
	if (!config->forward_x11_trusted) {
		if (!usable ||
		    !generate_cookie(xauth, name, config->forward_x11_timeout, &x11->cookie)) {
			nacre_log(NACRE_LOG_INFO, "Warning: untrusted X11 forwarding setup failed: "
						  "xauth key data not generated");
			return false;
		}
		x11->timeout = config->forward_x11_timeout;
	} else if (!usable || !list_cookie(xauth, NULL, name, &x11->cookie)) {
		invent_cookie(&x11->cookie);
	}
	nacre_random(x11->cookie.fake, x11->cookie.length);
	return true;
}

void
x11_request(const struct x11_forward *x11, struct nacre_session *session, uint32_t channel)
{
	char text[2 * NACRE_X11_COOKIE_MAX + 1];

	for (size_t i = 0; i < x11->cookie.length; i++)
		snprintf(text + 2 * i, 3, "%02x", x11->cookie.fake[i]);
	nacre_log(NACRE_LOG_DEBUG1, "Requesting X11 forwarding with authentication spoofing.");
	nacre_channel_request_x11(
	    session, channel, true, false, x11->cookie.protocol, text, x11->display.screen);
	nacre_wipe(text, sizeof text);
}
