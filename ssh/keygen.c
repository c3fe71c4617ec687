/* ssh-keygen: makes, changes, shows and converts keys; certifies them and revokes them; signs files;
 * looks after known_hosts and moduli. Here is its command line. */
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
    "                  [-m format] [-N new_passphrase] [-O option]\n"
    "                  [-t ecdsa | ecdsa-sk | ed25519 | ed25519-sk | rsa]\n"
    "                  [-w provider] [-Z cipher]\n"
    "       ssh-keygen -p [-a rounds] [-f keyfile] [-m format] [-N new_passphrase]\n"
    "                   [-P old_passphrase] [-Z cipher]\n"
    "       ssh-keygen -i [-f input_keyfile] [-m key_format]\n"
    "       ssh-keygen -e [-f input_keyfile] [-m key_format]\n"
    "       ssh-keygen -y [-f input_keyfile]\n"
    "       ssh-keygen -c [-a rounds] [-C comment] [-f keyfile] [-P passphrase]\n"
    "       ssh-keygen -l [-v] [-E fingerprint_hash] [-f input_keyfile]\n"
    "       ssh-keygen -B [-f input_keyfile]\n"
    "       ssh-keygen -D pkcs11\n"
    "       ssh-keygen -F hostname [-Hlv] [-f known_hosts_file]\n"
    "       ssh-keygen -H [-f known_hosts_file]\n"
    "       ssh-keygen -K [-a rounds] [-w provider]\n"
    "       ssh-keygen -R hostname [-f known_hosts_file]\n"
    "       ssh-keygen -r hostname [-g] [-f input_keyfile] [-O hashalg=algorithm]\n"
    "       ssh-keygen -M generate [-O option] output_file\n"
    "       ssh-keygen -M screen [-f input_file] [-O option] output_file\n"
    "       ssh-keygen -I certificate_identity -s ca_key [-hU] [-D pkcs11_provider]\n"
    "                  [-n principals] [-O option] [-V validity_interval]\n"
    "                  [-z serial_number] file ...\n"
    "       ssh-keygen -L [-f input_keyfile]\n"
    "       ssh-keygen -A [-a rounds] [-f prefix_path]\n"
    "       ssh-keygen -k -f krl_file [-u] [-s ca_public] [-z version_number]\n"
    "                  file ...\n"
    "       ssh-keygen -Q [-l] -f krl_file [file ...]\n"
    "       ssh-keygen -Y find-principals -s signature_file -f allowed_signers_file\n"
    "       ssh-keygen -Y match-principals -I signer_identity -f allowed_signers_file\n"
    "       ssh-keygen -Y check-novalidate -n namespace -s signature_file\n"
    "       ssh-keygen -Y sign -f key_file -n namespace file [-O option] ...\n"
    "       ssh-keygen -Y verify -f allowed_signers_file -I signer_identity\n"
    "                  -n namespace -s signature_file [-r krl_file] [-O option]\n";

void
keygen_usage(void)
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
set_serial(struct keygen *keygen, const char *value)
{
	const char *digits = value + (*value == '+');

	errno = 0;
	keygen->serial = strtoull(digits, NULL, 10);
	if (*digits == '\0' || digits[strspn(digits, "0123456789")] != '\0' || errno == ERANGE)
		nacre_fatal("Invalid serial number \"%s\"", digits);
	keygen->serial_counts = digits != value;
	keygen->serial_given = true;
}

static void
set_fingerprint_hash(struct keygen *keygen, const char *value)
{
	if (!nacre_fingerprint_hash_find(value, &keygen->fingerprint_hash))
		nacre_fatal("Invalid hash algorithm \"%s\"", value);
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
set_cipher(struct keygen *keygen, const char *value)
{
	if (!nacre_list_contains(
		nacre_span_of(nacre_algorithms(NACRE_LIST_CIPHERS)), nacre_span_of(value)))
		nacre_fatal("Invalid OpenSSH-format cipher '%s'", value);
	keygen->cipher = value;
}

static void
add_option(struct keygen *keygen, const char *value)
{
	const char **grown =
	    reallocarray(keygen->options, keygen->option_count + 1, sizeof *keygen->options);

	if (grown == NULL)
		nacre_fatal("out of memory");
	keygen->options = grown;
	grown[keygen->option_count++] = value;
}

static void
set_verbose(struct keygen *keygen, const char *value)
{
	(void)value;
	nacre_log_level_set(keygen->verbose && nacre_log_level_get() < NACRE_LOG_DEBUG3
				? nacre_log_level_get() + 1
				: NACRE_LOG_DEBUG1);
	keygen->verbose = true;
}

#define TEXT(letter, member)                                      \
	{                                                         \
		letter, offsetof(struct keygen, member), -1, NULL \
	}
#define FLAG(letter, member)                                      \
	{                                                         \
		letter, -1, offsetof(struct keygen, member), NULL \
	}
#define CALL(letter, set)           \
	{                           \
		letter, -1, -1, set \
	}

/* The options that describe a job. */
static const struct setter {
	char letter;
	ptrdiff_t text; /* where its value goes */
	ptrdiff_t flag; /* what it makes true */
	void (*set)(struct keygen *keygen, const char *value);
} setters[] = {
    CALL('a', set_rounds),
    CALL('b', set_bits),
    TEXT('C', comment),
    TEXT('D', provider),
    CALL('E', set_fingerprint_hash),
    TEXT('F', host),
    TEXT('f', file),
    FLAG('g', generic),
    FLAG('H', hash),
    FLAG('h', host_certificate),
    TEXT('I', identity),
    FLAG('l', fingerprints),
    TEXT('M', moduli),
    CALL('m', set_format),
    TEXT('N', new_passphrase),
    TEXT('n', names),
    CALL('O', add_option),
    TEXT('P', passphrase),
    FLAG('q', quiet),
    TEXT('R', host),
    TEXT('r', record_name),
    TEXT('s', authority),
    TEXT('t', type),
    FLAG('U', agent),
    FLAG('u', update),
    TEXT('V', validity),
    CALL('v', set_verbose),
    TEXT('w', key_provider),
    TEXT('Y', operation),
    CALL('Z', set_cipher),
    CALL('z', set_serial),
};

/* The options that choose one: where several are given, the first of this list counts. */
static const struct job {
	char letter;
	enum { NO_FILES, ANY_FILES, SOME_FILES } files;
	int (*run)(const struct keygen *keygen);
} jobs[] = {
    {'Y', ANY_FILES, keygen_signature},
    {'k', ANY_FILES, keygen_make_krl},
    {'Q', ANY_FILES, keygen_ask_krl},
    {'s', SOME_FILES, keygen_certify},
    {'L', NO_FILES, keygen_show_certificates},
    {'F', NO_FILES, keygen_find_host},
    {'R', NO_FILES, keygen_remove_host},
    {'H', NO_FILES, keygen_hash_hosts},
    {'D', NO_FILES, keygen_token_keys},
    {'B', NO_FILES, keygen_bubblebabble},
    {'l', NO_FILES, keygen_fingerprint},
    {'p', NO_FILES, keygen_passphrase},
    {'c', NO_FILES, keygen_comment},
    {'r', NO_FILES, keygen_records},
    {'e', NO_FILES, keygen_export},
    {'i', NO_FILES, keygen_import},
    {'X', NO_FILES, keygen_import}, /* its name of old */
    {'y', NO_FILES, keygen_public},
    {'A', NO_FILES, keygen_host_keys},
    {'K', NO_FILES, keygen_download},
    {'M', ANY_FILES, keygen_moduli},
    {0, NO_FILES, keygen_generate},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void
take_option(struct keygen *keygen, char letter, const char *value)
{
	for (size_t i = 0; i < COUNT(setters); i++) {
		const struct setter *setter = &setters[i];

		if (setter->letter != letter)
			continue;
		if (setter->text >= 0)
			*(const char **)(void *)((char *)keygen + setter->text) = value;
		if (setter->flag >= 0)
			*(bool *)(void *)((char *)keygen + setter->flag) = true;
		if (setter->set != NULL)
			setter->set(keygen, value);
	}
}

static _Noreturn void
bad_option(int kind)
{
	fprintf(stderr,
	    kind == ':' ? "option requires an argument -- %c\n" : "unknown option -- %c\n", optopt);
	keygen_usage();
}

/* The letters that were there go into "given". */
static void
parse(struct keygen *keygen, char *given, int argc, char **argv)
{
	int letter;

	opterr = 0;
	while (
	    (letter = getopt(argc, argv,
		 "+:ABHKLQUXceghiklopquvyC:D:E:F:I:M:N:O:P:R:V:Y:Z:a:b:f:m:n:r:s:t:w:z:")) != -1) {
		if (letter == '?' || letter == ':')
			bad_option(letter);
		if (strchr(given, letter) == NULL)
			given[strlen(given)] = (char)letter;
		take_option(keygen, (char)letter, optarg);
	}
	keygen->files = argv + optind;
	keygen->file_count = (size_t)(argc - optind);
}

static const struct job *
job_of(const char *given)
{
	const struct job *job = jobs;

	while (job->letter != 0 && strchr(given, job->letter) == NULL)
		job++;
	return job;
}

static void
check_files(const struct keygen *keygen, const struct job *job)
{
	bool few = job->files == SOME_FILES && keygen->file_count == 0;
	bool many = job->files == NO_FILES && keygen->file_count > 0;

	if (!few && !many)
		return;
	fputs(few ? "Too few arguments.\n" : "Too many arguments.\n", stderr);
	keygen_usage();
}

int
main(int argc, char **argv)
{
	struct keygen keygen = {.fingerprint_hash = NACRE_FINGERPRINT_SHA256};
	char given[64] = "";
	const struct job *job;
	int status;

	nacre_log_open("ssh-keygen", NACRE_LOG_STDERR, NULL, 0);
	parse(&keygen, given, argc, argv);
	job = job_of(given);
	check_files(&keygen, job);
	if (strchr(given, 'p') != NULL && strchr(given, 'c') != NULL) {
		fputs("Can only have one of -p and -c.\n", stderr);
		keygen_usage();
	}
	status = job->run(&keygen);
	free(keygen.options);
	return status;
}
