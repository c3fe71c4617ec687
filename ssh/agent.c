/* ssh-agent: holds private keys and signs with them. Options, and how it goes to the background. */
#include <ssh/agent.h>
#include <ssh/agent_serve.h>

#include <nacre/config.h>
#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/sandbox.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROVIDERS_DEFAULT  "/usr/lib*/*,/usr/local/lib*/*"
#define ENVIRONMENT_SOCKET "SSH_AUTH_SOCK"
#define ENVIRONMENT_PID    "SSH_AGENT_PID"

static _Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: ssh-agent [-c | -s] [-DdTU] [-a bind_address] [-E fingerprint_hash]\n"
	    "                 [-O option] [-P allowed_providers] [-t life]\n"
	    "       ssh-agent [-TU] [-a bind_address] [-E fingerprint_hash] [-O option]\n"
	    "                 [-P allowed_providers] [-t life] command [arg ...]\n"
	    "       ssh-agent [-c | -s] -k\n"
	    "       ssh-agent -u\n"
	    "       ssh-agent -V\n");
	exit(1);
}

static uint32_t
parse_lifetime(const char *text)
{
	int seconds;

	if (nacre_parse_time(text, &seconds) != 0 || seconds < 0) {
		fprintf(stderr, "Invalid lifetime\n");
		usage();
	}
	return (uint32_t)seconds;
}

static void
parse_extra(const char *text, struct agent_options *options)
{
	static const char allow[] = "websafe-allow=", audit[] = "audit=";

	if (strcmp(text, "no-restrict-websafe") == 0)
		options->any_application = true;
	else if (strcmp(text, "allow-remote-pkcs11") == 0)
		options->remote_providers = true;
	else if (strncmp(text, allow, strlen(allow)) == 0)
		options->applications = text + strlen(allow);
	else if (strncmp(text, audit, strlen(audit)) == 0 && options->audit < 0)
		options->audit = audit_open(text + strlen(audit));
	else
		nacre_fatal("Unknown -O option");
}

static _Noreturn void
print_version(void)
{
	fprintf(stderr, "Nacre_%s, %s\n", NACRE_VERSION, nacre_crypto_versions(true));
	exit(0);
}

static void
parse_option(int option, const char *value, struct agent_options *options, int *style)
{
	switch (option) {
	case 'c':
	case 's':
		if (*style != 0 && *style != option)
			usage();
		*style = option;
		break;
	case 'a':
		options->socket_path = value;
		break;
	case 'D':
		options->foreground = true;
		break;
	case 'd':
		options->debug = true;
		break;
	case 'E':
		if (!nacre_fingerprint_hash_find(value, &options->fingerprint_hash))
			nacre_fatal("Invalid hash algorithm \"%s\"", value);
		break;
	case 'k':
		options->kill = true;
		break;
	case 'O':
		parse_extra(value, options);
		break;
	case 'P':
		options->providers = value;
		break;
	case 'T':
		options->in_temporary_directory = true;
		break;
	case 't':
		options->lifetime = parse_lifetime(value);
		break;
	case 'U':
		options->no_cleaning = true;
		break;
	case 'u':
		options->cleaning++;
		break;
	case 'V':
		print_version();
	default:
		usage();
	}
}

static void
parse_arguments(int count, char **arguments, struct agent_options *options)
{
	const char *shell = getenv("SHELL");
	size_t length = shell != NULL ? strlen(shell) : 0;
	int option, style = 0;

	while ((option = getopt(count, arguments, "+a:cDdE:kO:P:sTt:UuV")) != -1)
		parse_option(option, optarg, options, &style);
	if (optind < count)
		options->command = arguments + optind;
	if (options->command != NULL &&
	    (style != 0 || options->kill || options->foreground || options->debug))
		usage();
	options->csh_style =
	    style == 'c' || (style == 0 && length >= 3 && strcmp(shell + length - 3, "csh") == 0);
}

static int
kill_agent(bool csh_style)
{
	const char *text = getenv(ENVIRONMENT_PID), *unset = csh_style ? "unsetenv" : "unset";
	char *end;
	long pid;

	if (text == NULL) {
		fprintf(stderr, ENVIRONMENT_PID " not set, cannot kill agent\n");
		return 1;
	}
	errno = 0;
	pid = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || pid <= 1 || pid > INT_MAX) {
		fprintf(stderr,
		    ENVIRONMENT_PID "=\"%s\", which is not a good PID: cannot kill agent\n", text);
		return 1;
	}
	if (kill((pid_t)pid, SIGTERM) != 0) {
		fprintf(stderr, "kill: %s\n", strerror(errno));
		return 1;
	}
	printf("%s " ENVIRONMENT_SOCKET ";\n%s " ENVIRONMENT_PID ";\necho Agent pid %ld killed;\n",
	    unset, unset, pid);
	return 0;
}

/* What the user's shell evaluates. */
static void
print_variable(bool csh_style, const char *name, const char *value)
{
	if (csh_style)
		printf("setenv %s %s;\n", name, value);
	else
		printf("%s=%s; export %s;\n", name, value, name);
}

static void
print_environment(const struct agent_options *options, const char *path, pid_t pid, bool with_pid)
{
	char text[32];

	snprintf(text, sizeof text, "%ld", (long)pid);
	print_variable(options->csh_style, ENVIRONMENT_SOCKET, path);
	if (with_pid)
		print_variable(options->csh_style, ENVIRONMENT_PID, text);
	printf("echo Agent pid %s;\n", text);
	fflush(stdout);
}

/* The agent in the background: a session of its own, nothing of the terminal, no core dumps. */
static void
background(void)
{
	struct rlimit none = {0, 0};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (chdir("/") != 0 || null < 0)
		exit(1);
	for (int fd = 0; fd <= 2; fd++)
		dup2(null, fd);
	close(null);
	setrlimit(RLIMIT_CORE, &none);
}

/* The command takes this process's place: its parent waits for the process it started. */
static _Noreturn void
run_command(char **command, const char *path, pid_t agent)
{
	char text[32];

	snprintf(text, sizeof text, "%ld", (long)agent);
	if (setenv(ENVIRONMENT_SOCKET, path, 1) != 0 || setenv(ENVIRONMENT_PID, text, 1) != 0)
		nacre_fatal("setenv: %s", strerror(errno));
	execvp(command[0], command);
	fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
	exit(1);
}

static int
serve_in_background(const struct agent_options *options, const struct agent_socket *listener)
{
	pid_t parent = getpid(), agent = fork();

	if (agent < 0) {
		agent_socket_remove(listener);
		nacre_fatal("fork: %s", strerror(errno));
	}
	if (agent > 0 && options->command != NULL)
		run_command(options->command, listener->path, agent);
	if (agent > 0) {
		print_environment(options, listener->path, agent, true);
		return 0;
	}
	background();
	agent_serve(options, listener, options->command != NULL ? parent : 0);
	return 0;
}

int
main(int count, char **arguments)
{
	struct agent_options options = {.fingerprint_hash = NACRE_FINGERPRINT_SHA256,
	    .providers = PROVIDERS_DEFAULT,
	    .audit = -1};
	struct agent_socket listener;

	nacre_sandbox_protect_memory();
	nacre_log_open("ssh-agent", NACRE_LOG_STDERR, NULL, 0);
	parse_arguments(count, arguments, &options);
	if (options.kill)
		return kill_agent(options.csh_style);
	if (options.cleaning > 0) {
		agent_socket_clean(options.cleaning > 1);
		return 0;
	}
	if (!options.no_cleaning && options.socket_path == NULL && !options.in_temporary_directory)
		agent_socket_clean(false);
	if (options.socket_path != NULL || !(options.foreground || options.debug) ||
	    !agent_socket_inherit(&listener))
		agent_socket_create(&options, &listener);
	if (!options.foreground && !options.debug)
		return serve_in_background(&options, &listener);
	if (options.debug)
		nacre_log_level_set(NACRE_LOG_DEBUG3);
	print_environment(&options, listener.path, getpid(), false);
	agent_serve(&options, &listener, 0);
	return 0;
}
