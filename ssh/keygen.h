/* ssh-keygen: what the jobs that its options select share. */
#ifndef SSH_KEYGEN_H
#define SSH_KEYGEN_H

#include <nacre/key.h>

#define EXIT_FATAL 255

/* What the command line says. Strings are borrowed from argv; NULL where there was no option. */
struct keygen {
	const char *file;                  /* -f */
	const char *type;                  /* -t */
	const char *comment;               /* -C */
	const char *passphrase;            /* -P: of an existing file */
	const char *new_passphrase;        /* -N */
	const char *cipher;                /* -Z */
	const char *host;                  /* -F, -R, -r */
	unsigned bits;                     /* -b; 0: the type's default */
	unsigned rounds;                   /* -a; 0: the default */
	enum nacre_key_file_format format; /* -m */
	bool rfc4716;                      /* -m RFC4716, which converting takes without -m, too */
	bool generic;                      /* -g */
	unsigned record_hashes;            /* -O hashalg=; 0: all */
	bool quiet, verbose;               /* -q, -v */
	bool hash;                         /* -H beside -F */
	bool fingerprints;                 /* -l beside -F */
	enum nacre_fingerprint_hash fingerprint_hash; /* -E */
};

/* The jobs; each returns the exit status. */
int keygen_generate(const struct keygen *keygen);
int keygen_host_keys(const struct keygen *keygen);   /* -A */
int keygen_passphrase(const struct keygen *keygen);  /* -p */
int keygen_comment(const struct keygen *keygen);     /* -c */
int keygen_public(const struct keygen *keygen);      /* -y */
int keygen_fingerprint(const struct keygen *keygen); /* -l */
int keygen_export(const struct keygen *keygen);      /* -e */
int keygen_import(const struct keygen *keygen);      /* -i */
int keygen_find_host(const struct keygen *keygen);   /* -F */
int keygen_remove_host(const struct keygen *keygen); /* -R */
int keygen_hash_hosts(const struct keygen *keygen);  /* -H */
int keygen_records(const struct keygen *keygen);     /* -r */

/* keygen_ask.c: questions. Strings returned are the caller's to free. */

/* The file of -f, or the answer to "QUESTION (default): " from standard input. */
char *keygen_ask_file(const struct keygen *keygen, const char *question, const char *type);
/* "name" in the user's ~/.ssh. */
char *keygen_home_file(const char *name);
/* True when "path" may be written: it does not exist, or the user agrees. */
bool keygen_may_overwrite(const char *path);
/* One passphrase. */
void keygen_ask_passphrase(const char *prompt, struct nacre_buffer *passphrase);
/* A new passphrase: -N, or asked for twice until both are the same. */
void keygen_new_passphrase(
    const struct keygen *keygen, const char *prompt, struct nacre_buffer *passphrase);
/* "user@host" */
void keygen_user_at_host(struct nacre_buffer *text);

/* keygen_file.c: key files. */

/* The private key in "path", with a passphrase if it needs one: -P, else asked for with "prompt".
 * "failure" is the beginning of the message that ends the program ("Load key %s"). */
struct nacre_key *keygen_load_private(const struct keygen *keygen, const char *path,
    const char *prompt, const char *failure, struct nacre_buffer *passphrase, char **comment);
/* Write a key's files, atomically. 0 or NACRE_ERROR_SYSTEM with errno, or what the encoding
 * says. */
int keygen_save_private(const struct keygen *keygen, const char *path, const struct nacre_key *key,
    const char *comment, struct nacre_span passphrase);
int keygen_save_public(const char *path, const struct nacre_key *key, const char *comment);
/* Writes text to standard output. */
void keygen_print(const struct nacre_buffer *text);
/* Writes messages to standard error, lines ended by CR LF as those of the log are. */
void keygen_complain(const struct nacre_buffer *text);
/* Ends the program when a file is not there. */
void keygen_must_exist(const char *path);

#endif
