/*
 * The server's end of SFTP version 3 with OpenSSH's extensions: request bytes in, reply bytes out.
 * It works on the file system as the process's user, with the process's root and umask. Three ways
 * to drive it: by hand over buffers, as a blocking loop over two descriptors (sftp-server), and on
 * a thread of its own that exchanges buffers with an event loop (internal-sftp).
 */
#ifndef NACRE_SFTP_SERVER_H
#define NACRE_SFTP_SERVER_H

#include <nacre/session.h>
#include <nacre/sftp.h>

#include <stdarg.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacre_sftp_server;

struct nacre_sftp_server_options {
	bool read_only;        /* -R */
	char *start_directory; /* -d, tokens already expanded; NULL: stay where we are */
	int umask;             /* -u, octal value; negative: leave it as it is. Process-wide! */
	const char *denied;    /* -P: comma-separated request names, or NULL */
	const char *allowed;   /* -p: the same; NULL allows all that are not denied */
	const char *user;      /* for the log and for ~; NULL: that of the real uid */
	const char *home;      /* for ~; NULL: from the password database */
	const char *peer;      /* for the log: address of the client; NULL: "UNKNOWN" */
	/* Where log lines go (nacre_log_va, for one); NULL: nowhere. On the thread's form it is
	 * called from the thread. Lines above log_level are not produced. */
	void (*log)(enum nacre_log_level level, const char *format, va_list arguments);
	enum nacre_log_level log_level;
};

/* Parses the arguments of a "Subsystem sftp internal-sftp ..." line or of the program sftp-server.
 * "argv[0]" is skipped. "user" and "home" expand the tokens of -d. The strings in *options point
 * into argv, but for start_directory, which the caller frees. "*facility" is syslog's number and
 * "*to_stderr" is -e. Returns 0, 1 when help (-h) or a query (-Q) was printed to standard output
 * and the program is to exit, or NACRE_ERROR_ARGUMENT after a message on standard error. */
int nacre_sftp_server_arguments(int argc, char **argv, const char *user, const char *home,
    struct nacre_sftp_server_options *options, int *facility, bool *to_stderr);

/* By hand ------------------------------------------------------------------------------------ */

/* Makes a server; changes to the start directory and sets the umask. The strings in "options" are
 * copied. 0, NACRE_ERROR_MEMORY or NACRE_ERROR_ARGUMENT (unknown request name). */
int nacre_sftp_server_new(
    const struct nacre_sftp_server_options *options, struct nacre_sftp_server **server);
/* Closes all handles and frees; NULL is allowed. */
void nacre_sftp_server_free(struct nacre_sftp_server *server);
/* Takes request bytes, in any pieces. Returns how many it has used: fewer than given when the
 * replies that wait have reached their bound (send them, then go on), or NACRE_ERROR_PROTOCOL or
 * NACRE_ERROR_MEMORY, after which the channel is to be closed. */
ssize_t nacre_sftp_server_input(struct nacre_sftp_server *server, struct nacre_span bytes);
/* Reply bytes that wait to be sent, and dropping those that were. */
struct nacre_span nacre_sftp_server_output(const struct nacre_sftp_server *server);
/* The first "length" bytes of it were sent. */
void nacre_sftp_server_sent(struct nacre_sftp_server *server, size_t length);

/* As a program ------------------------------------------------------------------------------- */

/* Serves requests from fd_in with replies to fd_out (blocking descriptors) until the end of input.
 * Returns 0 at an orderly end, or a negative error. */
int nacre_sftp_server_run(int fd_in, int fd_out, const struct nacre_sftp_server_options *options);

/* On a thread -------------------------------------------------------------------------------- */

/*
 * The thread does the file system's work; the caller's event loop waits for one descriptor. No call
 * blocks, but for nacre_sftp_thread_stop().
 *
 *	on CHANNEL_DATA:	n = nacre_sftp_thread_input(thread, nacre_channel_data(...));
 *				nacre_channel_consume(..., n);	(the rest again when fd is readable)
 *	on CHANNEL_EOF:		nacre_sftp_thread_end_input(thread);
 *	when fd is readable, or on CHANNEL_WRITABLE:
 *				nacre_sftp_thread_acknowledge(thread);
 *				while there is room in the channel:
 *					n = nacre_sftp_thread_output(thread, room, length), commit
 *				offer unconsumed channel data again
 *				if (nacre_sftp_thread_finished(thread, &status)) exit-status, close
 */
struct nacre_sftp_thread;

/* Starts a server on a thread. "options" as for nacre_sftp_server_new(). 0, NACRE_ERROR_MEMORY or
 * NACRE_ERROR_SYSTEM. */
int nacre_sftp_thread_start(
    const struct nacre_sftp_server_options *options, struct nacre_sftp_thread **thread);
/* Descriptor that is readable when there is output, room for input again, or the end. */
int nacre_sftp_thread_fd(const struct nacre_sftp_thread *thread);
/* Makes the descriptor unreadable until something new happens. Call it before looking. */
void nacre_sftp_thread_acknowledge(struct nacre_sftp_thread *thread);
/* Hands request bytes over; returns how many there was room for. */
size_t nacre_sftp_thread_input(struct nacre_sftp_thread *thread, struct nacre_span bytes);
/* No more input will come; the thread finishes what it has and ends. */
void nacre_sftp_thread_end_input(struct nacre_sftp_thread *thread);
/* Fetches up to "length" reply bytes; returns how many. */
size_t nacre_sftp_thread_output(struct nacre_sftp_thread *thread, uint8_t *room, size_t length);
/* True when the thread is through and all its output was fetched; *error is 0 or what ended it. */
bool nacre_sftp_thread_finished(struct nacre_sftp_thread *thread, int *error);
/* Ends the thread after the request it is in, joins and frees it; NULL is allowed. */
void nacre_sftp_thread_stop(struct nacre_sftp_thread *thread);

#ifdef __cplusplus
}
#endif
#endif
