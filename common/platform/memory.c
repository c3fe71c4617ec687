/* Giving memory back while a process has nothing to do. */
#include <nacre/process.h>

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

static int
release_segments(struct dl_phdr_info *object, size_t size, void *context)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)context;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) != 0)
			continue;
		/* Never written to, so every page is as in the file. */
		uintptr_t start = (object->dlpi_addr + segment->p_vaddr) & ~(page - 1);
		uintptr_t end = object->dlpi_addr + segment->p_vaddr + segment->p_memsz;
		if (end > start)
			madvise((void *)start, end - start, MADV_DONTNEED); /* NOLINT */
	}
	return 0;
}

void
nacre_process_release_memory(void)
{
	malloc_trim(0);
	dl_iterate_phdr(release_segments, NULL);
}
