/*
 * sftp: commands that overlap. A task runs a function that waits for answers as if it was alone; when
 * it waits, others go on. One of them or the main program runs at any time, never two: what they
 * share needs no locks. What a task says is kept until its turn comes.
 */
#ifndef SCP_SFTP_TASK_H
#define SCP_SFTP_TASK_H

#include <stdbool.h>

struct task;

/* Starts a task, which runs up to its first wait. "argument" must live until its end. */
struct task *task_start(int (*run)(void *argument), void *argument);
/* True when its function has returned. */
bool task_finished(const struct task *task);
/* Of one that is finished: says what it said, unless "silently", and frees it; returns its result. */
int task_end(struct task *task, bool silently);

/* For what waits: whether it runs in a task, and not in the main program. */
bool task_is_current(void);
/* In a task: lets others go on until "ready" says true of "what". */
void task_wait(bool (*ready)(const void *what), const void *what);
/* In the main program: lets the tasks go on whose time has come; "all": whatever they wait for.
 * Returns how many there were. */
unsigned tasks_resume(bool all);

#endif
