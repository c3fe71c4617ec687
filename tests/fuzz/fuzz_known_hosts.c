/* A known_hosts file from anywhere, looked through for a host and for ssh-keygen -F. */
#include "config_fuzz.h"

#include <nacre/known_hosts.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look_up(struct nacre_span text, const char *name)
{
	struct nacre_known_hosts *known;

	if (nacre_known_hosts_new(&known) != 0)
		return;
	nacre_known_hosts_load_text(known, text, "file", name, "192.0.2.1");
	for (size_t i = 0; i < known->count; i++)
		if (known->hosts[i].key != NULL)
			nacre_known_hosts_check(
			    known, known->hosts[i].key, known->hosts[0].key, false, NULL);
	nacre_known_hosts_has_authority(known);
	nacre_known_hosts_free(known);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nacre_buffer out = {0}, messages = {0};
	struct nacre_known_hosts_job job = {.name = "host.example.com", .hash = true};
	char path[64];
	int fd = fuzz_file(data, size, path);

	look_up((struct nacre_span){data, size}, "host.example.com");
	look_up((struct nacre_span){data, size}, "[host.example.com]:2222");
	job.file = path;
	nacre_known_hosts_find(&job, &out, &messages);
	job.fingerprints = job.randomart = true;
	nacre_known_hosts_find(&job, &out, &messages);
	nacre_buffer_free(&out);
	nacre_buffer_free(&messages);
	close(fd);
	return 0;
}
