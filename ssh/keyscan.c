/* ssh-keyscan: prints the host keys of servers, many at once. */
#include "keyscan.h"

#include <nacre/config.h>
#include <nacre/log.h>
#include <nacre/process.h>

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MOST ((size_t)256)
#define DESCRIPTORS_KEPT ((size_t)32)

#define ECDSA(suffix) \
	"ecdsa-sha2-nistp256" suffix ",ecdsa-sha2-nistp384" suffix ",ecdsa-sha2-nistp521" suffix
#define CERTIFIED "-cert-v01@openssh.com"
#define ALL_TYPES (~0U)

const struct scan_type scan_types[] = {
    {"rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa",
	"rsa-sha2-512" CERTIFIED ",rsa-sha2-256" CERTIFIED ",ssh-rsa" CERTIFIED, 1},
    {"ecdsa", ECDSA(""), ECDSA(CERTIFIED), 2},
    {"ed25519", "ssh-ed25519", "ssh-ed25519" CERTIFIED, 4},
    {"ecdsa-sk", "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256" CERTIFIED, 8},
    {"ed25519-sk", "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519" CERTIFIED, 16},
};
const size_t scan_type_count = sizeof scan_types / sizeof *scan_types;

static _Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: ssh-keyscan [-46cDHqv] [-f file] [-O option] [-p port] [-T timeout]\n"
	    "                   [-t type] [host | addrlist namelist]\n");
	exit(EXIT_FAILURE);
}

static unsigned
type_flag(struct nacre_span name)
{
	for (size_t i = 0; i < scan_type_count; i++)
		if (nacre_span_equals(name, scan_types[i].name))
			return scan_types[i].flag;
	nacre_fatal("Unknown key type \"%.*s\"", (int)name.length, (const char *)name.data);
}

static void
set_types(struct scan_options *options, const char *value)
{
	struct nacre_span left = nacre_span_of(value), name;

	options->types = 0;
	while ((name = nacre_list_next(&left)).length > 0)
		options->types |= type_flag(name);
	if (options->types == 0)
		usage();
}

static void
set_port(struct scan_options *options, const char *value)
{
	char *end;
	const long port = strtol(value, &end, 10);

	if (*value == '\0' || *end != '\0' || port < 1 || port > 65535)
		nacre_fatal("Bad port '%s'", value);
	options->port = (int)port;
}

static void
set_timeout(struct scan_options *options, const char *value)
{
	int seconds;

	if (nacre_parse_time(value, &seconds) != 0 || seconds < 1)
		nacre_fatal("Bad timeout '%s'", value);
	options->timeout = (uint64_t)seconds * 1000;
}

static void
set_option(struct scan_options *options, const char *value)
{
	static const char hash[] = "hashalg=";

	if (strncmp(value, hash, sizeof hash - 1) != 0)
		nacre_fatal("Unsupported -O option \"%s\"", value);
	value += sizeof hash - 1;
	if (!nacre_sshfp_hash_find(value, &options->record_hashes))
		nacre_fatal("Unsupported hash algorithm \"%s\"", value);
}

static void
set_flag(struct scan_options *options, int letter)
{
	switch (letter) {
	case '4':
		options->family = AF_INET;
		break;
	case '6':
		options->family = AF_INET6;
		break;
	case 'c':
		options->certificates = true;
		break;
	case 'D':
		options->records = true;
		break;
	case 'H':
		options->hash_names = true;
		break;
	case 'q':
		options->quiet = true;
		break;
	case 'v':
		nacre_log_level_set(nacre_log_level_get() < NACRE_LOG_DEBUG1
					? NACRE_LOG_DEBUG1
					: nacre_log_level_get() + 1);
		break;
	default:
		usage();
	}
}

static const struct {
	int letter;
	void (*set)(struct scan_options *options, const char *value);
} settings[] = {{'O', set_option}, {'p', set_port}, {'T', set_timeout}, {'t', set_types}};

static void
take_option(struct scan_options *options, struct hosts *hosts, int letter, const char *value)
{
	if (letter == 'f') {
		hosts_add_file(hosts, value);
		return;
	}
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
		if (settings[i].letter == letter) {
			settings[i].set(options, value);
			return;
		}
	set_flag(options, letter);
}

/* Each host may be asked for several keys at once. */
static size_t
connections_most(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > CONNECTIONS_MOST * 4)
		return CONNECTIONS_MOST;
	return limit.rlim_cur > 2 * DESCRIPTORS_KEPT
		   ? (size_t)(limit.rlim_cur - DESCRIPTORS_KEPT) / scan_type_count
		   : 1;
}

int
main(int argc, char **argv)
{
	struct scan_options options = {.family = AF_UNSPEC,
	    .port = 22,
	    .types = ALL_TYPES,
	    .record_hashes = NACRE_SSHFP_SHA1 | NACRE_SSHFP_SHA256,
	    .timeout = 5000};
	struct scan scan = {.options = &options};
	struct hosts *const hosts = hosts_new();
	struct target target;
	int letter;

	nacre_process_sanitise_descriptors();
	nacre_log_open("ssh-keyscan", NACRE_LOG_STDERR, NULL, 0);
	while ((letter = getopt(argc, argv, "46cDHf:O:p:qT:t:v")) != -1)
		take_option(&options, hosts, letter, optarg);
	if (optind == argc && letter == -1 && argc == 1)
		usage();
	for (int i = optind; i < argc; i++)
		hosts_add(hosts, argv[i]);
	if (nacre_poller_new(&scan.poller) != 0)
		nacre_fatal("%s", nacre_error_string(NACRE_ERROR_MEMORY));
	const size_t most = connections_most();
	for (bool more = true; more || scan.connections != NULL; scan_step(&scan))
		while (more && scan.count < most && (more = hosts_next(hosts, &target)))
			scan_start(&scan, &target);
	nacre_poller_free(scan.poller);
	hosts_free(hosts);
	return scan.found > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
