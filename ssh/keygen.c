/* ssh-keygen: makes, changes, shows and converts keys, and looks after known_hosts. */
#include "keygen.h"

#include <nacre/crypto.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: ssh-keygen [-q] [-a rounds] [-b bits] [-C comment] [-f output_keyfile]\n"
    "                  [-m format] [-N new_passphrase] [-t ecdsa | ed25519 | rsa]\n"
    "                  [-Z cipher]\n"
    "       ssh-keygen -p [-a rounds] [-f keyfile] [-m format] [-N new_passphrase]\n"
    "                   [-P old_passphrase] [-Z cipher]\n"
    "       ssh-keygen -i [-f input_keyfile] [-m key_format]\n"
    "       ssh-keygen -e [-f input_keyfile] [-m key_format]\n"
    "       ssh-keygen -y [-f input_keyfile]\n"
    "       ssh-keygen -c [-a rounds] [-C comment] [-f keyfile] [-P passphrase]\n"
    "       ssh-keygen -l [-v] [-E fingerprint_hash] [-f input_keyfile]\n"
    "       ssh-keygen -F hostname [-Hlv] [-f known_hosts_file]\n"
    "       ssh-keygen -H [-f known_hosts_file]\n"
    "       ssh-keygen -R hostname [-f known_hosts_file]\n"
    "       ssh-keygen -r hostname [-g] [-f input_keyfile] [-O hashalg=algorithm]\n"
    "       ssh-keygen -A [-a rounds] [-f prefix_path]\n";

/* What is asked for besides making a key. */
struct request {
	char job;        /* the option's letter, 0: make a key */
	bool list, hash; /* -l and -H stand alone or beside -F */
};

static _Noreturn void
usage(void)
{
	fputs(usage_text, stderr);
	exit(EXIT_FAILURE);
}

/* A decimal number within bounds; the complaint that follows "what" otherwise. */
static unsigned
number(const char *what, const char *text, unsigned least, unsigned most)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0')
		nacre_fatal("%s %s (invalid)", what, text);
	if (value < (long)least)
		nacre_fatal("%s %s (too small)", what, text);
	if (errno == ERANGE || value > (long)most)
		nacre_fatal("%s %s (too large)", what, text);
	return (unsigned)value;
}

static void
set_bits(struct keygen *keygen, const char *value)
{
	keygen->bits = number("Bits has bad value", value, 1, 65536);
}

static void
set_rounds(struct keygen *keygen, const char *value)
{
	keygen->rounds = number("Invalid number:", value, 1, INT32_MAX);
}

static void
set_comment(struct keygen *keygen, const char *value)
{
	keygen->comment = value;
}

static void
set_fingerprint_hash(struct keygen *keygen, const char *value)
{
	if (!nacre_fingerprint_hash_find(value, &keygen->fingerprint_hash))
		nacre_fatal("Invalid hash algorithm \"%s\"", value);
}

static void
set_file(struct keygen *keygen, const char *value)
{
	keygen->file = value;
}

static void
set_host(struct keygen *keygen, const char *value)
{
	keygen->host = value;
}

static void
set_format(struct keygen *keygen, const char *value)
{
	keygen->rfc4716 = strcasecmp(value, "RFC4716") == 0;
	if (strcasecmp(value, "PKCS8") == 0)
		keygen->format = NACRE_KEY_FILE_PKCS8;
	else if (strcasecmp(value, "PEM") == 0)
		keygen->format = NACRE_KEY_FILE_PEM;
	else if (!keygen->rfc4716)
		nacre_fatal("Unsupported conversion format \"%s\"", value);
}

static void
set_new_passphrase(struct keygen *keygen, const char *value)
{
	keygen->new_passphrase = value;
}

static void
set_passphrase(struct keygen *keygen, const char *value)
{
	keygen->passphrase = value;
}

static void
set_type(struct keygen *keygen, const char *value)
{
	keygen->type = value;
}

static void
set_cipher(struct keygen *keygen, const char *value)
{
	if (!nacre_list_contains(
		nacre_span_of(nacre_algorithms(NACRE_LIST_CIPHERS)), nacre_span_of(value)))
		nacre_fatal("Invalid OpenSSH-format cipher '%s'", value);
	keygen->cipher = value;
}

static void
set_generic(struct keygen *keygen, const char *value)
{
	(void)value;
	keygen->generic = true;
}

static void
set_record_hash(struct keygen *keygen, const char *value)
{
	if (strcmp(value, "hashalg=sha1") == 0)
		keygen->record_hashes = NACRE_SSHFP_SHA1;
	else if (strcmp(value, "hashalg=sha256") == 0)
		keygen->record_hashes = NACRE_SSHFP_SHA256;
	else
		nacre_fatal("Unsupported -O option \"%s\"", value);
}

static void
set_quiet(struct keygen *keygen, const char *value)
{
	(void)value;
	keygen->quiet = true;
}

static void
set_verbose(struct keygen *keygen, const char *value)
{
	(void)value;
	keygen->verbose = true;
}

/* The options that describe a job. */
static const struct setter {
	char letter;
	void (*set)(struct keygen *keygen, const char *value);
} setters[] = {
    {'a', set_rounds},
    {'b', set_bits},
    {'C', set_comment},
    {'E', set_fingerprint_hash},
    {'F', set_host},
    {'f', set_file},
    {'g', set_generic},
    {'m', set_format},
    {'N', set_new_passphrase},
    {'O', set_record_hash},
    {'P', set_passphrase},
    {'q', set_quiet},
    {'R', set_host},
    {'r', set_host},
    {'t', set_type},
    {'v', set_verbose},
    {'Z', set_cipher},
};

/* The options that choose one. */
static const struct job {
	char letter;
	int (*run)(const struct keygen *keygen);
} jobs[] = {
    {0, keygen_generate},
    {'A', keygen_host_keys},
    {'c', keygen_comment},
    {'e', keygen_export},
    {'F', keygen_find_host},
    {'H', keygen_hash_hosts},
    {'i', keygen_import},
    {'l', keygen_fingerprint},
    {'p', keygen_passphrase},
    {'R', keygen_remove_host},
    {'r', keygen_records},
    {'y', keygen_public},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void
choose(struct request *request, char letter)
{
	if (letter == 'l')
		request->list = true;
	else if (letter == 'H')
		request->hash = true;
	else if (request->job != 0 && request->job != letter)
		usage();
	else
		request->job = letter;
}

/* One option. False when it is none of ours. */
static bool
take_option(struct keygen *keygen, struct request *request, char letter, const char *value)
{
	bool known = false;

	for (size_t i = 0; i < COUNT(setters); i++)
		if (setters[i].letter == letter) {
			setters[i].set(keygen, value);
			known = true;
		}
	for (size_t i = 1; i < COUNT(jobs); i++)
		if (jobs[i].letter == letter) {
			choose(request, letter);
			known = true;
		}
	return known;
}

static void
parse(struct keygen *keygen, struct request *request, int argc, char **argv)
{
	int letter;

	opterr = 0;
	while ((letter = getopt(argc, argv,
		    "ABHKLQUXceghiklopquvyC:D:E:F:I:M:N:O:P:R:V:Y:Z:a:b:f:m:n:r:s:t:w:z:")) != -1) {
		if (letter == '?') {
			fprintf(stderr, "unknown option -- %c\n", optopt);
			usage();
		}
		if (!take_option(keygen, request, (char)letter, optarg))
			nacre_fatal("Option -%c is not supported by this ssh-keygen.", letter);
	}
	if (optind < argc) {
		fputs("Too many arguments.\n", stderr);
		usage();
	}
}

static char
job_of(struct keygen *keygen, const struct request *request)
{
	keygen->hash = request->hash;
	keygen->fingerprints = request->list;
	if (request->job != 0)
		return request->job;
	return request->list ? 'l' : request->hash ? 'H' : 0;
}

int
main(int argc, char **argv)
{
	struct keygen keygen = {.fingerprint_hash = NACRE_FINGERPRINT_SHA256};
	struct request request = {0};
	char job;

	nacre_log_open("ssh-keygen", NACRE_LOG_STDERR, NULL, 0);
	parse(&keygen, &request, argc, argv);
	job = job_of(&keygen, &request);
	for (size_t i = 0; i < COUNT(jobs); i++)
		if (jobs[i].letter == job)
			return jobs[i].run(&keygen);
	usage();
}
