/*
 * Asking the person: passphrases, passwords and questions, on the terminal or through the program
 * that SSH_ASKPASS names.
 *
 * The way is chosen as ssh(1) describes it: the controlling terminal (/dev/tty) if there is one;
 * else SSH_ASKPASS (or ssh-askpass in PATH) when DISPLAY or WAYLAND_DISPLAY is set.
 * SSH_ASKPASS_REQUIRE=prefer takes SSH_ASKPASS first when there is a display, "force" takes it
 * always, "never" not at all.
 */
#ifndef NACRE_PROMPT_H
#define NACRE_PROMPT_H

#include <nacre/error.h>
#include <nacre/wire.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nacre_prompt_flags {
	/* What is typed shows. */
	NACRE_PROMPT_ECHO = 1,
	/* Without a terminal and SSH_ASKPASS, a line of standard input answers. */
	NACRE_PROMPT_STDIN = 2,
	/* Never the terminal: for processes without one of their own, such as agents. */
	NACRE_PROMPT_ASKPASS = 4
};

#define NACRE_PROMPT_ANSWER_MAX 1024 /* bytes; what is longer is cut */

/*
 * Asks for one line and appends it without its newline to "answer" (a secret: the buffer wipes it).
 * "text" is the whole prompt, usually ending in ": ". The terminal's settings are restored in every
 * case: a signal that ends the process does so after that, a stop (^Z) asks again when it goes on.
 * 0; NACRE_ERROR_NOT_FOUND when there is nowhere to ask; NACRE_ERROR_REFUSED when the person gave
 * up (end of file, SSH_ASKPASS failed or was cancelled).
 */
int nacre_prompt(const char *text, unsigned flags, struct nacre_buffer *answer);
/*
 * Asks through SSH_ASKPASS alone for consent (ssh-agent's confirmed keys): true when the person
 * agreed, which is exit status 0 and an answer that is empty or "yes".
 */
bool nacre_prompt_confirm(const char *text);

/*
 * Tells the person something until it is over, such as that a touch is waited for: on standard error
 * when that is a terminal, else through SSH_ASKPASS in a process of its own.
 */
struct nacre_notice {
	pid_t pid; /* -1: none */
	bool written;
};
void nacre_notice_begin(struct nacre_notice *notice, const char *text);
/* "text" (may be NULL) is what stands on the terminal in the end. */
void nacre_notice_end(struct nacre_notice *notice, const char *text);

#ifdef __cplusplus
}
#endif
#endif
