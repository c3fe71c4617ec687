/* ssh-keygen: the upkeep of known_hosts (-F, -R, -H). */
#include "keygen.h"

#include <nacre/known_hosts.h>
#include <nacre/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef int job_function(const struct nacre_known_hosts_job *job, struct nacre_buffer *out,
    struct nacre_buffer *messages);

/* Runs a job on the file of -f or the user's known_hosts; 1 when it did not find or did not do. */
static int
hosts_run(const struct keygen *keygen, job_function *run)
{
	char *path = keygen->file != NULL ? strdup(keygen->file) : keygen_home_file("known_hosts");
	struct nacre_known_hosts_job job = {
	    .file = path,
	    .name = keygen->host,
	    .hash = keygen->hash,
	    .quiet = keygen->quiet,
	    .fingerprints = keygen->fingerprints,
	    .fingerprint_hash = keygen->fingerprint_hash,
	};
	struct nacre_buffer out = {0}, messages = {0};
	struct stat status;
	int error;

	if (path == NULL)
		nacre_fatal("out of memory");
	if (stat(path, &status) != 0)
		nacre_fatal("Cannot stat %s: %s", path, strerror(errno));
	error = run(&job, &out, &messages);
	keygen_print(&out);
	/* Looking a host up passes over the lines that do not matter to it. */
	if (run != nacre_known_hosts_find || (error != 0 && error != NACRE_ERROR_NOT_FOUND))
		keygen_complain(&messages);
	if (error == NACRE_ERROR_SYSTEM && nacre_buffer_length(&messages) == 0)
		nacre_fatal("%s: %s", path, strerror(errno));
	nacre_buffer_free(&out);
	nacre_buffer_free(&messages);
	free(path);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
keygen_find_host(const struct keygen *keygen)
{
	return hosts_run(keygen, nacre_known_hosts_find);
}

int
keygen_remove_host(const struct keygen *keygen)
{
	return hosts_run(keygen, nacre_known_hosts_remove);
}

int
keygen_hash_hosts(const struct keygen *keygen)
{
	return hosts_run(keygen, nacre_known_hosts_hash);
}
