/* ssh -Q: the algorithms that there are, one a line. */
#include "ssh/ssh.h"

#include <nacre/crypto.h>

#include <stdio.h>
#include <strings.h>

static const struct query {
	const char *name;
	enum nacre_algorithm_list list;
} queries[] = {
    {"cipher", NACRE_LIST_CIPHERS},
    {"cipher-auth", NACRE_LIST_AEAD_CIPHERS},
    {"compression", NACRE_LIST_COMPRESSION},
    {"kex", NACRE_LIST_KEX},
    {"key", NACRE_LIST_KEYS},
    {"key-ca-sign", NACRE_LIST_SIGNATURES},
    {"key-cert", NACRE_LIST_CERTIFICATES},
    {"key-plain", NACRE_LIST_PLAIN_KEYS},
    {"key-sig", NACRE_LIST_KEY_ALGORITHMS},
    {"mac", NACRE_LIST_MACS},
    {"sig", NACRE_LIST_SIGNATURES},
    /* Keywords of ssh_config(5) and sshd_config(5) that take these names. */
    {"Ciphers", NACRE_LIST_CIPHERS},
    {"MACs", NACRE_LIST_MACS},
    {"KexAlgorithms", NACRE_LIST_KEX},
    {"CASignatureAlgorithms", NACRE_LIST_SIGNATURES},
    {"HostKeyAlgorithms", NACRE_LIST_KEY_ALGORITHMS},
    {"HostbasedAcceptedAlgorithms", NACRE_LIST_KEY_ALGORITHMS},
    {"HostbasedAcceptedKeyTypes", NACRE_LIST_KEY_ALGORITHMS},
    {"HostbasedKeyTypes", NACRE_LIST_KEY_ALGORITHMS},
    {"PubkeyAcceptedAlgorithms", NACRE_LIST_KEY_ALGORITHMS},
    {"PubkeyAcceptedKeyTypes", NACRE_LIST_KEY_ALGORITHMS},
};

static const char help[] = "cipher\ncipher-auth\ncompression\nkex\nkex-gss\nkey\nkey-ca-sign\n"
			   "key-cert\nkey-plain\nkey-sig\nmac\nprotocol-version\nsig\n";

static void
print_lines(const char *names)
{
	for (; *names != '\0'; names++)
		putchar(*names == ',' ? '\n' : *names);
	putchar('\n');
}

int
query_print(const char *what)
{
	if (strcasecmp(what, "help") == 0) {
		fputs(help, stdout);
		return 0;
	}
	if (strcasecmp(what, "protocol-version") == 0) {
		puts("2");
		return 0;
	}
	if (strcasecmp(what, "kex-gss") == 0)
		return 0;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
		if (strcasecmp(what, queries[i].name) == 0) {
			print_lines(nacre_algorithms(queries[i].list));
			return 0;
		}
	fprintf(stderr, "Unsupported query \"%s\"; see ssh -Q help\n", what);
	return 255;
}
