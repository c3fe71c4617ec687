/* ssh-keyscan: what its files share. */
#ifndef SSH_KEYSCAN_H
#define SSH_KEYSCAN_H

#include <nacre/key.h>
#include <nacre/poller.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* A kind of host key, and what it is asked for with. */
struct scan_type {
	const char *name; /* of -t */
	const char *algorithms, *certificate_algorithms;
	unsigned flag;
};
extern const struct scan_type scan_types[];
extern const size_t scan_type_count;

struct scan_options {
	int family, port;
	unsigned types; /* flags of scan_types */
	bool certificates, hash_names, records, quiet;
	unsigned record_hashes; /* enum nacre_sshfp_hash */
	uint64_t timeout;       /* ms */
};

/* keyscan_hosts.c: what is to be scanned. */

/* A host with its names, which the caller frees with target_free(). */
struct target {
	char *addresses; /* list with commas: where it may be reached */
	char *names;     /* list with commas: what it is called in the output */
	bool of_network; /* one of many: nothing is said when there is nobody */
};
void target_free(struct target *target);

struct hosts; /* arguments, files, and networks that are counted through */
struct hosts *hosts_new(void);
void hosts_free(struct hosts *hosts);
/* A host, list or network as on a line of a file. */
void hosts_add(struct hosts *hosts, const char *text);
/* The lines of a file, "-" for standard input. */
void hosts_add_file(struct hosts *hosts, const char *path);
/* The next one; false at the end. */
bool hosts_next(struct hosts *hosts, struct target *target);

/* keyscan_connection.c: asks one host for one key after the other. */
struct scan {
	const struct scan_options *options;
	struct nacre_poller *poller;
	struct connection *connections; /* that are open */
	size_t count;
	unsigned found; /* keys */
};
/* Takes the target over. */
void scan_start(struct scan *scan, struct target *target);
/* Waits for something to happen, and acts on it. */
void scan_step(struct scan *scan);

#endif
