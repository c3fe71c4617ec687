/* ssh-add: adds keys to the agent, lists, tests, removes, locks. */
#include <ssh/add.h>

#include <nacre/config.h>
#include <nacre/crypto.h>
#include <nacre/log.h>
#include <nacre/prompt.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* Exit status: 1 when a request failed, 2 when there is no agent. */
enum { EXIT_NO_AGENT = 2 };

enum action {
	ACTION_ADD,
	ACTION_REMOVE,
	ACTION_REMOVE_ALL,
	ACTION_LIST,
	ACTION_LIST_KEYS,
	ACTION_LOCK,
	ACTION_UNLOCK,
	ACTION_TEST,
	ACTION_QUERY,
	ACTION_ADD_TOKEN,
	ACTION_REMOVE_TOKEN,
	ACTION_ADD_RESIDENT
};

static _Noreturn void
usage(void)
{
	fprintf(stderr,
	    "usage: ssh-add [-CcDdKkLlNQqvXx] [-E fingerprint_hash] [-H hostkey_file]\n"
	    "               [-h destination_constraint] [-S provider] [-t life] [file ...]\n"
	    "       ssh-add -s pkcs11 [-Cv] [certificate ...]\n"
	    "       ssh-add -e pkcs11\n"
	    "       ssh-add -T pubkey ...\n");
	exit(1);
}

static int
list_identities(const struct add_options *options, bool whole)
{
	struct nacre_agent_identities identities;
	struct nacre_buffer text = {0};
	int error = nacre_agent_list(options->agent, &identities);

	if (error != 0) {
		fprintf(stderr, "error fetching identities: %s\n", agent_error(error));
		return 1;
	}
	for (size_t i = 0; i < identities.count; i++) {
		const struct nacre_agent_identity *identity = &identities.list[i];

		if (identity->key == NULL)
			continue;
		if (whole) {
			nacre_key_put_line(identity->key, identity->comment, &text);
		} else {
			nacre_put_format(&text, "%u ", nacre_key_bits(identity->key));
			nacre_key_fingerprint(identity->key, options->fingerprint_hash, &text);
			nacre_put_format(&text, " %s (%s)", identity->comment,
			    nacre_key_type_label(identity->key));
		}
		nacre_put_byte(&text, '\n');
		if (!whole)
			usage_put(options, identity->blob, &text);
	}
	if (identities.count == 0)
		printf("The agent has no identities.\n");
	else if (nacre_buffer_length(&text) > 0)
		fwrite(nacre_buffer_span(&text).data, 1, nacre_buffer_length(&text), stdout);
	nacre_buffer_free(&text);
	error = identities.count == 0 ? 1 : 0;
	nacre_agent_identities_free(&identities);
	return error;
}

static int
remove_all(const struct add_options *options)
{
	int error = nacre_agent_remove_all(options->agent);

	if (error != 0) {
		fprintf(stderr, "Failed to remove all identities: %s\n", agent_error(error));
		return 1;
	}
	if (!options->quiet)
		fprintf(stderr, "All identities removed.\n");
	return 0;
}

/* The passphrase for locking is asked twice. */
static int
lock_passphrase(bool twice, struct nacre_buffer *passphrase)
{
	struct nacre_buffer again = {0};
	bool same;

	if (nacre_prompt("Enter lock password: ", NACRE_PROMPT_STDIN, passphrase) != 0)
		return NACRE_ERROR_REFUSED;
	if (!twice)
		return 0;
	same = nacre_prompt("Again: ", NACRE_PROMPT_STDIN, &again) == 0 &&
	       nacre_buffer_length(&again) == nacre_buffer_length(passphrase) &&
	       nacre_secret_equal(nacre_buffer_span(&again).data,
		   nacre_buffer_span(passphrase).data, nacre_buffer_length(&again));
	nacre_buffer_free(&again);
	if (same)
		return 0;
	fprintf(stderr, "Passwords do not match.\n");
	return NACRE_ERROR_REFUSED;
}

static int
lock_agent(const struct add_options *options, bool lock)
{
	struct nacre_buffer passphrase = {0};
	int error = lock_passphrase(lock, &passphrase);

	if (error != 0)
		return 1;
	error = lock ? nacre_agent_lock(options->agent, nacre_buffer_span(&passphrase))
		     : nacre_agent_unlock(options->agent, nacre_buffer_span(&passphrase));
	nacre_buffer_free(&passphrase);
	if (error != 0) {
		fprintf(
		    stderr, "Failed to %slock agent: %s\n", lock ? "" : "un", agent_error(error));
		return 1;
	}
	if (!options->quiet)
		fprintf(stderr, "Agent %slocked.\n", lock ? "" : "un");
	return 0;
}

/* Signs random data with the key's first algorithm and verifies it. */
static int
test_signature(const struct add_options *options, const struct nacre_key *key, const char *path)
{
	struct nacre_buffer blob = {0}, signature = {0};
	struct nacre_span list = nacre_span_of(nacre_key_signature_algorithms(key));
	uint8_t data[1024];
	struct nacre_span text = {data, sizeof data};
	int error;

	nacre_random(data, sizeof data);
	error = nacre_key_put_blob(key, false, &blob);
	if (error == 0)
		error = nacre_agent_sign(options->agent, nacre_buffer_span(&blob), text,
		    nacre_agent_sign_flags(nacre_list_next(&list)), &signature);
	if (error != 0)
		fprintf(stderr, "Agent signature failed for %s: %s\n", path, agent_error(error));
	else if ((error = nacre_key_verify(key, NULL, nacre_buffer_span(&signature), text)) != 0)
		fprintf(stderr, "Signature verification failed for %s: %s\n", path,
		    nacre_error_string(error));
	nacre_buffer_free(&blob);
	nacre_buffer_free(&signature);
	return error != 0 ? 1 : 0;
}

static int
test_file(struct add_options *options, const char *path)
{
	struct nacre_key *key = NULL;
	int error = nacre_key_load_public(path, &key, NULL);

	if (error != 0) {
		fprintf(stderr, "Couldn't read public key %s: %s\n", path,
		    error == NACRE_ERROR_SYSTEM ? strerror(errno) : nacre_error_string(error));
		return 1;
	}
	error = test_signature(options, key, path);
	nacre_key_free(key);
	return error;
}

static int
query_extensions(const struct add_options *options)
{
	struct nacre_buffer answer = {0};
	struct nacre_reader reader;
	struct nacre_span name;
	int error =
	    nacre_agent_extension(options->agent, "query", (struct nacre_span){NULL, 0}, &answer);

	if (error != 0) {
		fprintf(stderr, "unable to query supported extensions: %s\n", agent_error(error));
		return 1;
	}
	reader = nacre_reader_of(nacre_buffer_span(&answer));
	while (reader.length > 0 && !reader.failed) {
		name = nacre_get_string(&reader);
		printf("%.*s\n", (int)name.length, (const char *)name.data);
	}
	nacre_buffer_free(&answer);
	return 0;
}

static int
for_files(struct add_options *options, char **files,
    int (*each)(struct add_options *options, const char *path))
{
	int result = 0;

	for (; *files != NULL; files++)
		if (each(options, *files) != 0)
			result = 1;
	return result;
}

static int
run(enum action action, struct add_options *options, char **files)
{
	int (*each)(struct add_options *, const char *) =
	    action == ACTION_ADD ? add_file : remove_file;

	switch (action) {
	case ACTION_LIST:
		if (options->verbose)
			usage_load(options);
		return list_identities(options, false);
	case ACTION_LIST_KEYS:
		return list_identities(options, true);
	case ACTION_REMOVE_ALL:
		return remove_all(options);
	case ACTION_LOCK:
		return lock_agent(options, true);
	case ACTION_UNLOCK:
		return lock_agent(options, false);
	case ACTION_QUERY:
		return query_extensions(options);
	case ACTION_TEST:
		return *files == NULL ? 1 : for_files(options, files, test_file);
	case ACTION_ADD_TOKEN:
		return add_token(options, files);
	case ACTION_REMOVE_TOKEN:
		return remove_token(options);
	case ACTION_ADD_RESIDENT:
		return add_residents(options);
	case ACTION_ADD:
	case ACTION_REMOVE:
		break;
	}
	return *files == NULL ? for_default_files(options, each) : for_files(options, files, each);
}

static const struct {
	int option;
	enum action action;
} actions[] = {
    {'d', ACTION_REMOVE},
    {'D', ACTION_REMOVE_ALL},
    {'l', ACTION_LIST},
    {'L', ACTION_LIST_KEYS},
    {'x', ACTION_LOCK},
    {'X', ACTION_UNLOCK},
    {'T', ACTION_TEST},
    {'Q', ACTION_QUERY},
    {'s', ACTION_ADD_TOKEN},
    {'e', ACTION_REMOVE_TOKEN},
    {'K', ACTION_ADD_RESIDENT},
};

/* Options that may be given several times. */
static void
append(char ***list, size_t *count, char *value)
{
	char **more = reallocarray(*list, *count + 1, sizeof(void *));

	if (more == NULL)
		nacre_fatal("out of memory");
	*list = more;
	more[(*count)++] = value;
}

static void
parse_lifetime(const char *text, struct add_options *options)
{
	int seconds;

	if (nacre_parse_time(text, &seconds) != 0 || seconds < 0) {
		fprintf(stderr, "Invalid lifetime\n");
		exit(1);
	}
	options->constraints.lifetime = (uint32_t)seconds;
}

static void
parse_verbose(void)
{
	enum nacre_log_level level = nacre_log_level_get();

	if (level < NACRE_LOG_DEBUG1)
		nacre_log_level_set(NACRE_LOG_DEBUG1);
	else if (level < NACRE_LOG_DEBUG3)
		nacre_log_level_set((enum nacre_log_level)(level + 1));
}

static void
parse_option(int option, char *value, struct add_options *options, enum action *action)
{
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (actions[i].option == option) {
			*action = actions[i].action;
			if (value != NULL)
				options->token = value;
			return;
		}
	switch (option) {
	case 'C':
		options->certificates_only = true;
		break;
	case 'c':
		options->constraints.confirm = true;
		break;
	case 'E':
		if (!nacre_fingerprint_hash_find(value, &options->fingerprint_hash))
			nacre_fatal("Invalid hash algorithm \"%s\"", value);
		break;
	case 'H':
		append(&options->host_files, &options->host_file_count, value);
		break;
	case 'h':
		append(&options->destinations, &options->destination_count, value);
		break;
	case 'k':
		options->keys_only = true;
		break;
	case 'N':
		options->no_certificate_expiry = true;
		break;
	case 'q':
		options->quiet = true;
		break;
	case 'S':
		options->sk_provider = value;
		break;
	case 't':
		parse_lifetime(value, options);
		break;
	case 'v':
		options->verbose = true;
		parse_verbose();
		break;
	default:
		usage();
	}
}

static void
connect_agent(struct add_options *options)
{
	int error = nacre_agent_connect(NULL, &options->agent);

	if (error == 0)
		return;
	if (error == NACRE_ERROR_NOT_FOUND)
		fprintf(stderr, "Could not open a connection to your authentication agent.\n");
	else
		fprintf(stderr, "Error connecting to agent: %s\n", agent_error(error));
	exit(EXIT_NO_AGENT);
}

int
main(int count, char **arguments)
{
	struct add_options options = {
	    .fingerprint_hash = NACRE_FINGERPRINT_SHA256, .sk_provider = getenv("SSH_SK_PROVIDER")};
	enum action action = ACTION_ADD;
	int option, result;

	nacre_log_open("ssh-add", NACRE_LOG_STDERR, NULL, 0);
	while ((option = getopt(count, arguments, "CcDdE:e:H:h:KkLlNQqS:s:Tt:vXx")) != -1)
		parse_option(option, optarg, &options, &action);
	connect_agent(&options);
	if (options.destination_count > 0)
		destinations_prepare(&options);
	result = run(action, &options, arguments + optind);
	nacre_buffer_free(&options.passphrase);
	nacre_buffer_free(&options.destination_text);
	nacre_buffer_free(&options.usage);
	free(options.destinations);
	free(options.host_files);
	nacre_agent_free(options.agent);
	if (fflush(stdout) != 0)
		result = 1;
	return result;
}
