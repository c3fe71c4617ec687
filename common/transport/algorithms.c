/*
 * The lists of algorithm names that users see (ssh -Q) and edit (Ciphers +..., MACs -...): what
 * there is and what is offered by default, in order of preference.
 */
#include <crypto/cipher.h>
#include <crypto/kex.h>
#include <crypto/mac.h>
#include <nacre/crypto.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LIST_MAX 2048

#define PLAIN_SIGNATURES                                                           \
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521," \
	"sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"
#define RSA_SIGNATURES "rsa-sha2-512,rsa-sha2-256"
#define PLAIN_CERTIFICATES                                                                   \
	"ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,"         \
	"ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com," \
	"sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"
#define RSA_CERTIFICATES "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com"
#define WEBAUTHN         "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"

#define LIST_COUNT (NACRE_LIST_KEY_ALGORITHMS + 1)

/* "all" and the defaults of a client and of a server. */
enum variant { VARIANT_ALL, VARIANT_CLIENT, VARIANT_SERVER, VARIANT_COUNT };

static const char *const fixed_lists[LIST_COUNT][2] = {
    [NACRE_LIST_COMPRESSION] = {"none,zlib@openssh.com", NULL},
    [NACRE_LIST_KEYS] = {PLAIN_SIGNATURES ",ssh-rsa," PLAIN_CERTIFICATES
					  ",ssh-rsa-cert-v01@openssh.com",
	NULL},
    [NACRE_LIST_PLAIN_KEYS] = {PLAIN_SIGNATURES ",ssh-rsa", NULL},
    [NACRE_LIST_CERTIFICATES] = {PLAIN_CERTIFICATES ",ssh-rsa-cert-v01@openssh.com", NULL},
    [NACRE_LIST_SIGNATURES] = {PLAIN_SIGNATURES "," RSA_SIGNATURES ",ssh-rsa," WEBAUTHN,
	PLAIN_SIGNATURES "," RSA_SIGNATURES},
    [NACRE_LIST_KEY_ALGORITHMS] = {PLAIN_CERTIFICATES
	"," RSA_CERTIFICATES "," PLAIN_SIGNATURES "," RSA_SIGNATURES
	",ssh-rsa,ssh-rsa-cert-v01@openssh.com," WEBAUTHN,
	PLAIN_CERTIFICATES "," RSA_CERTIFICATES "," PLAIN_SIGNATURES "," RSA_SIGNATURES},
};

static char built_lists[NACRE_LIST_KEX + 1][VARIANT_COUNT][LIST_MAX];
static pthread_once_t built_once = PTHREAD_ONCE_INIT;

static void
list_add(enum nacre_algorithm_list list, enum variant variant, const char *name)
{
	char *text = built_lists[list][variant];
	size_t length = strlen(text);

	snprintf(text + length, LIST_MAX - length, "%s%s", length > 0 ? "," : "", name);
}

static void
list_add_row(enum nacre_algorithm_list list, const char *name, bool client, bool server)
{
	list_add(list, VARIANT_ALL, name);
	if (client)
		list_add(list, VARIANT_CLIENT, name);
	if (server)
		list_add(list, VARIANT_SERVER, name);
}

static void
lists_build(void)
{
	size_t count;
	const struct cipher_algorithm *cipher = cipher_table(&count);

	for (size_t i = 0; i < count; i++) {
		bool offered = cipher[i].by_default;

		list_add_row(NACRE_LIST_CIPHERS, cipher[i].name, offered, offered);
		if (cipher[i].tag_length > 0)
			list_add_row(NACRE_LIST_AEAD_CIPHERS, cipher[i].name, offered, offered);
	}
	const struct mac_algorithm *mac = mac_table(&count);
	for (size_t i = 0; i < count; i++)
		list_add_row(NACRE_LIST_MACS, mac[i].name, true, mac[i].by_default_server);
	const struct kex_method *kex = kex_table(&count);
	for (size_t i = 0; i < count; i++)
		list_add_row(NACRE_LIST_KEX, kex[i].name, kex[i].by_default,
		    kex[i].by_default && !kex[i].by_default_client_only);
}

static const char *
list_get(enum nacre_algorithm_list list, enum variant variant)
{
	if ((unsigned)list >= LIST_COUNT)
		return "";
	if (fixed_lists[list][0] != NULL) {
		const char *offered = fixed_lists[list][1];

		return variant == VARIANT_ALL || offered == NULL ? fixed_lists[list][0] : offered;
	}
	pthread_once(&built_once, lists_build);
	return built_lists[list][variant];
}

const char *
nacre_algorithms(enum nacre_algorithm_list list)
{
	return list_get(list, VARIANT_ALL);
}

const char *
nacre_algorithms_default(enum nacre_algorithm_list list, bool server)
{
	return list_get(list, server ? VARIANT_SERVER : VARIANT_CLIENT);
}

/* Editing ----------------------------------------------------------------------------------- */

/* Does "name" fit a pattern of characters, * and ?. */
static bool
pattern_fits(struct nacre_span pattern, struct nacre_span name)
{
	size_t p = 0, n = 0, star = SIZE_MAX, resume = 0;

	while (n < name.length) {
		if (p < pattern.length && pattern.data[p] == '*') {
			star = p++;
			resume = n;
		} else if (p < pattern.length &&
			   (pattern.data[p] == '?' || pattern.data[p] == name.data[n])) {
			p++;
			n++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			n = ++resume;
		} else {
			return false;
		}
	}
	while (p < pattern.length && pattern.data[p] == '*')
		p++;
	return p == pattern.length;
}

static bool
patterns_fit(struct nacre_span patterns, struct nacre_span name)
{
	struct nacre_span pattern;

	while ((pattern = nacre_list_next(&patterns)).length > 0)
		if (pattern_fits(pattern, name))
			return true;
	return false;
}

/* Appends a name unless it is there already; "mark" is where the list begins. */
static void
put_name(struct nacre_buffer *list, size_t mark, struct nacre_span name)
{
	struct nacre_span held = nacre_buffer_span(list);

	if (mark > 0)
		held.data += mark;
	held.length -= mark;
	if (held.length > 0 && nacre_list_contains(held, name))
		return;
	if (held.length > 0)
		nacre_put_byte(list, ',');
	nacre_put_span(list, name);
}

/* Appends what each pattern fits of all names, in the order of the patterns. */
static int
put_matches(struct nacre_buffer *list, size_t mark, struct nacre_span patterns,
    enum nacre_algorithm_list kind, struct nacre_span *unknown)
{
	struct nacre_span pattern, name;

	while ((pattern = nacre_list_next(&patterns)).length > 0) {
		struct nacre_span all = nacre_span_of(nacre_algorithms(kind));
		bool found = false;

		while ((name = nacre_list_next(&all)).length > 0) {
			if (!pattern_fits(pattern, name))
				continue;
			put_name(list, mark, name);
			found = true;
		}
		if (!found) {
			if (unknown != NULL)
				*unknown = pattern;
			return NACRE_ERROR_UNSUPPORTED;
		}
	}
	return 0;
}

/* Appends the default without what fits "removed". */
static void
put_default(struct nacre_buffer *list, size_t mark, struct nacre_span removed,
    enum nacre_algorithm_list kind, bool server)
{
	struct nacre_span names = nacre_span_of(nacre_algorithms_default(kind, server)), name;

	while ((name = nacre_list_next(&names)).length > 0)
		if (!patterns_fit(removed, name))
			put_name(list, mark, name);
}

int
nacre_algorithms_assemble(enum nacre_algorithm_list list, bool server, struct nacre_span text,
    struct nacre_buffer *assembled, struct nacre_span *unknown)
{
	uint8_t edit = text.length > 0 ? text.data[0] : 0;
	struct nacre_span names = text, none = {NULL, 0};
	size_t mark = nacre_buffer_length(assembled);
	int error = 0;

	if (edit == '+' || edit == '-' || edit == '^') {
		names.data++;
		names.length--;
	}
	if (edit == '+' || edit == '-')
		put_default(assembled, mark, edit == '-' ? names : none, list, server);
	if (edit != '-')
		error = put_matches(assembled, mark, names, list, unknown);
	if (edit == '^')
		put_default(assembled, mark, none, list, server);
	if (assembled->failed)
		return NACRE_ERROR_MEMORY;
	if (error == 0 && (names.length == 0 || nacre_buffer_length(assembled) == mark))
		error = NACRE_ERROR_FORMAT;
	if (error != 0)
		nacre_buffer_truncate(assembled, mark);
	return error;
}
