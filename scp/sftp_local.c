/* sftp: the commands that concern this machine. */
#include <scp/sftp_call.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int
run_lpwd(const struct call *call)
{
	char *const path = getcwd(NULL, 0);

	(void)call;
	if (path == NULL) {
		complain("Couldn't get local cwd: %s", strerror(errno));
		return 1;
	}
	say("Local working directory: %s\n", path);
	free(path);
	return 0;
}

int
run_lcd(const struct call *call)
{
	const char *const home = getenv("HOME");
	char *const path =
	    call->count > 0 ? glob_unquote(call->words[0]) : strdup(home != NULL ? home : "/");
	const bool good = path != NULL && chdir(path) == 0;

	if (!good)
		complain("Couldn't change local directory to \"%s\": %s", path != NULL ? path : "",
		    strerror(errno));
	free(path);
	return !good;
}

int
run_lmkdir(const struct call *call)
{
	char *const path = glob_unquote(call->words[0]);
	const bool good = mkdir(path, 0777) == 0;

	if (!good)
		complain("Couldn't create local directory \"%s\": %s", path, strerror(errno));
	free(path);
	return !good;
}

int
run_lumask(const struct call *call)
{
	uint32_t mask;

	if (!call_number(call, 8, 0777, &mask))
		return 1;
	umask((mode_t)mask);
	say("Local umask: %03o\n", mask);
	return 0;
}

/* The rest -------------------------------------------------------------------------------------- */

int
shell_run(const char *command)
{
	const char *const shell = getenv("SHELL");
	const char *const path = shell != NULL && *shell != '\0' ? shell : "/bin/sh";
	const pid_t child = fork();
	struct sigaction interruption;
	int status = 0;

	if (child == 0) {
		if (command == NULL)
			execl(path, path, (char *)NULL);
		else
			execl(path, path, "-c", command, (char *)NULL);
		fprintf(stderr, "Couldn't execute \"%s\": %s\n", path, strerror(errno));
		_exit(1);
	}
	if (child < 0) {
		complain("Couldn't fork: %s", strerror(errno));
		return 1;
	}
	/* ^C is meant for the one in front. */
	sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_IGN}, &interruption);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	sigaction(SIGINT, &interruption, NULL);
	if (!WIFEXITED(status))
		complain("Shell exited abnormally");
	else if (WEXITSTATUS(status) != 0)
		complain("Shell exited with status %d", WEXITSTATUS(status));
	return status != 0;
}

/* The words go to ls as they stand: the shell expands them. */
int
run_lls(const struct call *call)
{
	struct nacre_buffer text = {0};

	nacre_put_format(&text, "ls");
	for (size_t i = 0; i < call->count; i++) {
		nacre_put_byte(&text, ' ');
		for (const char *p = call->words[i]; *p != '\0'; p++)
			nacre_put_format(
			    &text, strchr(" \t\"'`$&;|<>()#!", *p) != NULL ? "\\%c" : "%c", *p);
	}
	nacre_put_byte(&text, 0);
	if (text.failed)
		die("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	fflush(stdout);
	const int status = shell_run((const char *)text.data);
	nacre_buffer_free(&text);
	return status;
}
