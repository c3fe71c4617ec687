/* ssh-keygen: what the jobs that its options select share. */
#ifndef SSH_KEYGEN_H
#define SSH_KEYGEN_H

#include <nacre/certificate.h>
#include <nacre/key.h>

#define EXIT_FATAL 255

/* What the command line says. Strings are borrowed from argv; NULL where there was no option. */
struct keygen {
	const char *file;                  /* -f */
	const char *type;                  /* -t: of the key, or of an RSA authority's signature */
	const char *comment;               /* -C */
	const char *passphrase;            /* -P: of an existing file */
	const char *new_passphrase;        /* -N */
	const char *cipher;                /* -Z */
	const char *host;                  /* -F, -R */
	const char *record_name;           /* -r: of a DNS record; a file of revoked keys with -Y */
	const char *authority;             /* -s: a key file, or the signature's with -Y */
	const char *identity;              /* -I */
	const char *names;                 /* -n: principals, or the namespace with -Y */
	const char *validity;              /* -V */
	const char *operation;             /* -Y */
	const char *moduli;                /* -M */
	const char *provider;              /* -D: a PKCS#11 module */
	const char *key_provider;          /* -w: of security keys */
	uint64_t serial;                   /* -z */
	bool serial_counts;                /* -z with a plus sign in front */
	bool serial_given;                 /* -z */
	unsigned bits;                     /* -b; 0: the type's default */
	unsigned rounds;                   /* -a; 0: the default */
	enum nacre_key_file_format format; /* -m */
	bool rfc4716;                      /* -m RFC4716, which converting takes without -m, too */
	bool generic;                      /* -g */
	bool quiet, verbose;               /* -q, -v */
	bool hash;                         /* -H beside -F */
	bool fingerprints;                 /* -l beside -F and -Q */
	bool bubblebabble;                 /* -B */
	bool host_certificate;             /* -h */
	bool agent;                        /* -U */
	bool update;                       /* -u */
	enum nacre_fingerprint_hash fingerprint_hash; /* -E */
	const char **options;                         /* -O, as they came */
	size_t option_count;
	char *const *files; /* what stands behind the options */
	size_t file_count;
};

/* The jobs; each returns the exit status. */
int keygen_generate(const struct keygen *keygen);
int keygen_host_keys(const struct keygen *keygen);         /* -A */
int keygen_bubblebabble(const struct keygen *keygen);      /* -B */
int keygen_comment(const struct keygen *keygen);           /* -c */
int keygen_token_keys(const struct keygen *keygen);        /* -D */
int keygen_export(const struct keygen *keygen);            /* -e */
int keygen_find_host(const struct keygen *keygen);         /* -F */
int keygen_hash_hosts(const struct keygen *keygen);        /* -H */
int keygen_import(const struct keygen *keygen);            /* -i */
int keygen_make_krl(const struct keygen *keygen);          /* -k */
int keygen_download(const struct keygen *keygen);          /* -K */
int keygen_show_certificates(const struct keygen *keygen); /* -L */
int keygen_fingerprint(const struct keygen *keygen);       /* -l */
int keygen_moduli(const struct keygen *keygen);            /* -M */
int keygen_passphrase(const struct keygen *keygen);        /* -p */
int keygen_ask_krl(const struct keygen *keygen);           /* -Q */
int keygen_remove_host(const struct keygen *keygen);       /* -R */
int keygen_records(const struct keygen *keygen);           /* -r */
int keygen_certify(const struct keygen *keygen);           /* -s */
int keygen_signature(const struct keygen *keygen);         /* -Y */
int keygen_public(const struct keygen *keygen);            /* -y */

/* Ends the program with the summary of its options. */
_Noreturn void keygen_usage(void);

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

/* keygen_file.c: key files, and text. */

/* The private key in "path", with a passphrase if it needs one: -P, else asked for with "prompt".
 * "failure" is the beginning of the message that ends the program ("Load key %s"); where the file
 * cannot be read that begins with the path alone. */
struct nacre_key *keygen_load_private(const struct keygen *keygen, const char *path,
    const char *prompt, const char *failure, struct nacre_buffer *passphrase, char **comment);
/* The same where only the key is of interest: 'Load key "PATH": ...' in every case. */
struct nacre_key *keygen_load_whole(const struct keygen *keygen, const char *path);
/* The public key of a file, and its comment unless that is NULL; ends the program with the message
 * that begins with "failure" (as by printf) when there is none. */
struct nacre_key *keygen_load_public(const char *path, char **comment, const char *failure, ...)
    __attribute__((format(printf, 3, 4)));
/* Write a key's files, atomically. 0 or NACRE_ERROR_SYSTEM with errno, or what the encoding
 * says. */
int keygen_save_private(const struct keygen *keygen, const char *path, const struct nacre_key *key,
    const char *comment, struct nacre_span passphrase);
int keygen_save_public(const char *path, const struct nacre_key *key, const char *comment);
/* Puts text in the place of a file; a reader sees the old one or the new one. */
int keygen_replace_file(const char *path, unsigned mode, const struct nacre_buffer *text);
/* Reads all of a file, "-" being standard input. Errors as for nacre_file_read(). */
int keygen_read_file(const char *path, size_t most, struct nacre_buffer *content);
/* What went wrong, in the system's words where it was the system. */
const char *keygen_reason(int error);
/* Writes text to standard output. */
void keygen_print(const struct nacre_buffer *text);
/* Appends what came from a key or a file, control characters as \ooo. */
void keygen_put_safely(struct nacre_buffer *text, struct nacre_span span);
/* Writes messages to standard error, lines ended by CR LF as those of the log are. */
void keygen_complain(const struct nacre_buffer *text);
/* Ends the program when a file is not there. */
void keygen_must_exist(const char *path);
/* Cuts the next line, without its end and the blanks around it, off a text. */
struct nacre_span keygen_next_line(struct nacre_span *text);
/* What stands behind "NAME=" of -O NAME=...; NULL when it is another option. */
const char *keygen_option_value(const char *option, const char *name);

/* keygen_signer.c: keys that sign, wherever their private halves are; the caller frees them. */

/* -s, with -U the agent's, with -D a token's. */
struct nacre_key *keygen_load_authority(const struct keygen *keygen);
/* -f of -Y sign: the agent's if it has it, unless -U says that it must. */
struct nacre_key *keygen_load_signer(const struct keygen *keygen);

/* keygen_show.c: the line of -l about a key. */
void keygen_show_key(
    const struct keygen *keygen, const struct nacre_key *key, struct nacre_span comment);

/* keygen_security_key.c: a new key in an authenticator. */
struct nacre_key *keygen_enroll(const struct keygen *keygen, enum nacre_key_type type);
/* Lets the authenticator sign, if the key is in one. */
void keygen_have_touched(const struct keygen *keygen, struct nacre_key *key);
/* Ends the program unless the options of -O make sense for that. */
void keygen_enroll_check(const struct keygen *keygen);

/* keygen_validity.c: when a certificate is valid. */

/* -V. Ends the program when it makes no sense. */
void keygen_validity_parse(const char *text, uint64_t *after, uint64_t *before);
/* "from ... to ...", "after ...", "before ..." or "forever". */
void keygen_put_validity(struct nacre_buffer *text, uint64_t after, uint64_t before);

/* keygen_certificate_options.c: -O of a certificate, encoded. */
void keygen_certificate_options(
    const struct keygen *keygen, struct nacre_buffer *critical, struct nacre_buffer *extensions);

#endif
