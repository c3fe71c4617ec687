/*
 * sftp: tasks. Each has a thread of its own only for the sake of its stack: the right to run is handed
 * over with semaphores, from the one that starts or resumes a task to the task, and back when it waits.
 */
#include <scp/scp.h>
#include <scp/sftp_task.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define STACK_SIZE ((size_t)512 * 1024)

struct task {
	struct task *next, **link; /* of those that exist */
	struct task *parent; /* who started or resumed it, and goes on when it waits; NULL: the
				    * main program */
	pthread_t thread;
	sem_t turn;
	int (*run)(void *argument);
	void *argument;
	bool (*ready)(const void *what); /* what it waits for; NULL while it runs */
	const void *what;
	struct nacre_buffer said, *parent_said;
	bool finished;
	int result;
};

static struct task *tasks; /* oldest first */
static struct task **last = &tasks;
static struct task *current; /* NULL: the main program */
static sem_t main_turn;
static bool begun; /* the semaphore of the main program is there */

static void
await_turn(sem_t *turn)
{
	while (sem_wait(turn) != 0 && errno == EINTR)
		;
}

/* To the one that let this task run. */
static void
hand_back(struct task *task)
{
	struct task *const parent = task->parent;

	message_divert(task->parent_said);
	current = parent;
	sem_post(parent != NULL ? &parent->turn : &main_turn);
}

/* Lets a task run until it waits or ends. */
static void
hand_over(struct task *task)
{
	sem_t *const own = current != NULL ? &current->turn : &main_turn;

	task->parent = current;
	task->ready = NULL;
	task->parent_said = message_divert(&task->said);
	current = task;
	sem_post(&task->turn);
	await_turn(own);
}

static void *
begin(void *argument)
{
	struct task *const task = argument;

	await_turn(&task->turn);
	task->result = task->run(task->argument);
	task->finished = true;
	hand_back(task);
	return NULL;
}

static void
start_thread(struct task *task)
{
	sigset_t all, usual;
	pthread_attr_t attributes;

	/* Signals are the main program's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &usual);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	const int error = pthread_create(&task->thread, &attributes, begin, task);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &usual, NULL);
	if (error != 0)
		die("cannot start a thread: %s", strerror(error));
}

struct task *
task_start(int (*run)(void *argument), void *argument)
{
	struct task *const task = calloc(1, sizeof *task);

	if (task == NULL)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	task->run = run;
	task->argument = argument;
	sem_init(&task->turn, 0, 0);
	if (!begun)
		sem_init(&main_turn, 0, 0);
	begun = true;
	task->link = last;
	*last = task;
	last = &task->next;
	start_thread(task);
	hand_over(task);
	return task;
}

bool
task_finished(const struct task *task)
{
	return task->finished;
}

int
task_end(struct task *task, bool silently)
{
	const int result = task->result;

	pthread_join(task->thread, NULL);
	if (!silently)
		message_replay(&task->said);
	*task->link = task->next;
	if (task->next != NULL)
		task->next->link = task->link;
	else
		last = task->link;
	sem_destroy(&task->turn);
	nacre_buffer_free(&task->said);
	free(task);
	return result;
}

bool
task_is_current(void)
{
	return current != NULL;
}

void
task_wait(bool (*ready)(const void *what), const void *what)
{
	struct task *const task = current;

	task->ready = ready;
	task->what = what;
	hand_back(task);
	await_turn(&task->turn);
}

unsigned
tasks_resume(bool all)
{
	unsigned count = 0;

	/* One that runs may start others, which come behind it, and ends only those that have finished:
	 * its own. */
	for (struct task *task = tasks; task != NULL; task = task->next) {
		if (task->finished || task->ready == NULL || !(all || task->ready(task->what)))
			continue;
		hand_over(task);
		count++;
	}
	return count;
}
