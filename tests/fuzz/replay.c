/*
 * The plain main of every fuzz target: gives each file named (or each file in the folders named) to
 * LLVMFuzzerTestOneInput() and says how many there were.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned files;

static void
replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size > 0 ? size : 1);
	FILE *file = fopen(path, "rb");

	if (data == NULL || file == NULL || fread(data, 1, size, file) != size) {
		perror(path);
		exit(1);
	}
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	files++;
}

static void replay_path(const char *path);

static void
replay_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	if (folder == NULL) {
		perror(path);
		exit(1);
	}
	while ((entry = readdir(folder)) != NULL) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		replay_path(name);
	}
	closedir(folder);
}

static void
replay_path(const char *path)
{
	struct stat status;

	if (stat(path, &status) != 0) {
		perror(path);
		exit(1);
	}
	if (S_ISDIR(status.st_mode))
		replay_folder(path);
	else
		replay_file(path, (size_t)status.st_size);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay_path(argv[i]);
	printf("%s: %u inputs\n", argv[0], files);
	return 0;
}
