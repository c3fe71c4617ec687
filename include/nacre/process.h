/*
 * Processes and the descriptors between them: messages that carry descriptors, memory that is
 * handed over, children that are started without copying the parent.
 */
#ifndef NACRE_PROCESS_H
#define NACRE_PROCESS_H

#include <nacre/error.h>
#include <nacre/wire.h>

#include <sys/resource.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sends all of "data" over a stream socket and with it up to NACRE_PROCESS_DESCRIPTORS descriptors.
 * Waits when the socket is full. 0, NACRE_ERROR_CLOSED or NACRE_ERROR_SYSTEM. */
#define NACRE_PROCESS_DESCRIPTORS 4
int nacre_process_send(
    int socket, struct nacre_span data, const int *descriptors, size_t descriptor_count);
/* Receives exactly "length" bytes. Descriptors that come with them go to descriptors[] in order
 * (close-on-exec), at most *descriptor_count, which becomes how many; more are closed. The last
 * argument may be NULL. 0, NACRE_ERROR_CLOSED or NACRE_ERROR_SYSTEM. */
int nacre_process_receive(
    int socket, void *data, size_t length, int *descriptors, size_t *descriptor_count);

/* An anonymous memory file with this content, sealed and positioned at its start. */
int nacre_process_memory_file(const char *name, struct nacre_span content, int *fd);
/* Reads a file from its start to its end, at most "limit" bytes. */
int nacre_process_read_file(int fd, size_t limit, struct nacre_buffer *content);

/* Detaches from the terminal: the parent exits with 0, the child is in a session of its own with
 * its standard descriptors on /dev/null. */
int nacre_process_daemonise(void);
/* Opens /dev/null as every one of descriptors 0, 1, 2 that is closed. */
void nacre_process_sanitise_descriptors(void);
/* Closes every descriptor from "first" on. */
void nacre_process_close_from(int first);
/* Writes the process id and a newline. 0 or NACRE_ERROR_SYSTEM. */
int nacre_process_write_pid(const char *path);
/* Default dispositions for all signals, none blocked: for a child before exec. */
void nacre_process_reset_signals(void);

/* Gives back the memory that an idle process does not need: freed heap, and the pages of programs
 * and libraries, which the kernel brings back from the files when they are touched. */
void nacre_process_release_memory(void);

/*
 * How a child is started. Everything is prepared by the caller; between the fork, which shares the
 * caller's memory, and the exec nothing is allocated. On failure the child exits with 255 after
 * writing "path: reason" to its standard error.
 */
struct nacre_account;
struct nacre_process_start {
	const char *path;
	char *const *arguments;
	char *const *environment;
	const char *directory;     /* NULL: stays; when it cannot be entered "/" is used */
	bool directory_optional;   /* which is not worth a word */
	int input, output, error;  /* become 0, 1 and 2; -1: inherited */
	bool new_session;          /* setsid() */
	bool controlling_terminal; /* standard input becomes it */
	int keep;                  /* one more descriptor that stays open, as number 3; -1: none */
	/* A program that runs before, in the same session, to its end; or NULL. Its descriptors must
	 * be above 2. */
	const struct nacre_process_start *first;
	const struct nacre_account *account;   /* becomes it for good; NULL: stays who it is */
	const struct rlimit *descriptor_limit; /* RLIMIT_NOFILE; NULL: inherited */
};
/* Returns the child's process id, or NACRE_ERROR_SYSTEM. Descriptors above are closed in it. */
pid_t nacre_process_start(const struct nacre_process_start *start);

#ifdef __cplusplus
}
#endif
#endif
