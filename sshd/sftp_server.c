/* sftp-server: serves SFTP over standard input and output. */
#include <nacre/log.h>
#include <nacre/sftp_server.h>

#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The client's address, first word of SSH_CONNECTION. */
static char *
peer_address(void)
{
	const char *connection = getenv("SSH_CONNECTION");

	return connection != NULL ? strndup(connection, strcspn(connection, " ")) : NULL;
}

int
main(int argc, char **argv)
{
	const struct passwd *account = getpwuid(getuid());
	const char *name = account != NULL ? account->pw_name : "UNKNOWN";
	const char *home = account != NULL ? account->pw_dir : "/";
	struct nacre_sftp_server_options options;
	char *user = strdup(name), *directory = strdup(home), *peer = peer_address();
	int facility, result;
	bool to_stderr;

	if (user == NULL || directory == NULL)
		nacre_fatal("no user name: %s", nacre_error_string(NACRE_ERROR_MEMORY));
	result = nacre_sftp_server_arguments(
	    argc, argv, user, directory, &options, &facility, &to_stderr);
	if (result != 0) {
		free(user);
		free(directory);
		free(peer);
		return result > 0 ? 0 : 1;
	}
	nacre_log_open(
	    "sftp-server", to_stderr ? NACRE_LOG_STDERR : NACRE_LOG_SYSLOG, NULL, facility);
	nacre_log_level_set(options.log_level);
	options.user = user;
	options.home = directory;
	options.peer = peer;
	options.log = nacre_log_va;
	signal(SIGPIPE, SIG_IGN);
	result = nacre_sftp_server_run(STDIN_FILENO, STDOUT_FILENO, &options);
	free(options.start_directory);
	free(user);
	free(directory);
	free(peer);
	if (result != 0 && result != NACRE_ERROR_CLOSED)
		nacre_log(NACRE_LOG_ERROR, "sftp-server: %s", nacre_error_string(result));
	return result == 0 ? 0 : 255;
}
