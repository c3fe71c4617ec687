/*
 * ssh-keysign(8): signs, with the keys of this machine, that it is the caller who logs in elsewhere
 * (hostbased authentication). Whoever installs it setuid root lets it read those keys; it gives
 * root up before it looks at anything that the caller says.
 */
#include <nacre/client.h>
#include <nacre/file.h>
#include <nacre/key.h>
#include <nacre/keysign.h>
#include <nacre/log.h>
#include <nacre/process.h>
#include <nacre/ssh_config.h>

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIGURATION NACRE_SYSCONFDIR "/ssh_config"

static const char *const key_files[] = {NACRE_SYSCONFDIR "/ssh_host_ecdsa_key",
    NACRE_SYSCONFDIR "/ssh_host_ed25519_key", NACRE_SYSCONFDIR "/ssh_host_rsa_key"};
#define KEYS (sizeof key_files / sizeof *key_files)

static _Noreturn void
refuse(const char *reason)
{
	fprintf(stderr, "ssh-keysign: %s\n", reason);
	exit(255);
}

static void
load_keys(struct nacre_key *keys[KEYS])
{
	bool found = false;

	for (size_t i = 0; i < KEYS; i++) {
		if (nacre_key_load_private(
			key_files[i], (struct nacre_span){NULL, 0}, &keys[i], NULL, NULL) != 0)
			keys[i] = NULL;
		found |= keys[i] != NULL;
	}
	if (!found)
		refuse("no host key in " NACRE_SYSCONFDIR
		       " can be read: is this program setuid root?");
}

/* There is no way back. */
static void
give_up_root(void)
{
	const uid_t user = getuid();
	const gid_t group = getgid();

	if (setresgid(group, group, group) != 0 || setresuid(user, user, user) != 0 ||
	    (user != 0 && (setuid(0) == 0 || geteuid() != user)))
		refuse("cannot give up root");
}

/* Only the system's file counts, which the caller cannot write to. */
static bool
enabled(void)
{
	const struct nacre_ssh_config_request request = {.host = "", .user_file = CONFIGURATION};
	struct nacre_ssh_config *config;
	bool is_enabled = false;

	if (nacre_ssh_config_new(&config) != 0)
		return false;
	if (access(CONFIGURATION, R_OK) == 0 && nacre_ssh_config_load(config, &request) == 0)
		is_enabled = config->enable_ssh_keysign;
	nacre_ssh_config_free(config);
	return is_enabled;
}

/* The key whose public half, or whose certificate, is wanted; NULL. */
static const struct nacre_key *
find_key(struct nacre_key *const keys[KEYS], struct nacre_span blob)
{
	struct nacre_key *wanted;
	const struct nacre_key *found = NULL;

	if (nacre_key_from_blob(blob, &wanted) != 0)
		refuse("bad request: the key cannot be read");
	for (size_t i = 0; i < KEYS && found == NULL; i++)
		if (keys[i] != NULL && nacre_key_equal(keys[i], wanted))
			found = keys[i];
	nacre_key_free(wanted);
	return found;
}

static void
read_request(struct nacre_buffer *input, struct nacre_span *data)
{
	struct nacre_reader reader;

	if (nacre_file_read_descriptor(STDIN_FILENO, NACRE_KEYSIGN_DATA_MAX, input) != 0)
		refuse("bad request: it cannot be read");
	reader = nacre_reader_of(nacre_buffer_span(input));
	*data = nacre_get_string(&reader);
	if (!nacre_reader_done(&reader))
		refuse("bad request");
}

int
main(void)
{
	struct nacre_key *keys[KEYS];
	struct nacre_buffer input = {0}, signature = {0};
	struct nacre_span data, algorithm, blob;
	const struct nacre_key *key;
	char *host, *name;

	nacre_process_sanitise_descriptors();
	load_keys(keys);
	give_up_root();
	if (!enabled())
		refuse("not enabled in " CONFIGURATION ": it needs the line EnableSSHKeysign yes");
	const struct passwd *const account = getpwuid(getuid());
	if (account == NULL || nacre_keysign_local_name(NACRE_KEYSIGN_CONNECTION, &host) != 0)
		refuse("you do not exist");
	read_request(&input, &data);
	if (nacre_keysign_check(data, account->pw_name, host, &algorithm, &blob) != 0)
		refuse("not a request of this user of this machine");
	if ((key = find_key(keys, blob)) == NULL)
		refuse("no matching host key found");
	name = nacre_span_to_string(algorithm);
	if (name == NULL || nacre_key_sign(key, name, data, &signature) != 0)
		refuse("the key does not sign in this way");
	if (nacre_write_all(STDOUT_FILENO, nacre_buffer_span(&signature)) != 0)
		refuse("nobody takes the signature");
	for (size_t i = 0; i < KEYS; i++)
		nacre_key_free(keys[i]);
	nacre_buffer_free(&input);
	nacre_buffer_free(&signature);
	free(name);
	free(host);
	return EXIT_SUCCESS;
}
