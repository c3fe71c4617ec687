/*
 * Modules: parts that need a library which most processes never do. Each is a shared object beside
 * libnacre that exports one table and is loaded when it is first needed.
 */
#ifndef NACRE_MODULE_H
#define NACRE_MODULE_H

#ifdef __cplusplus
extern "C" {
#endif

/* Loads the shared object "file" from the folder that libnacre is in, and returns its symbol
 * "table". NULL when there is no such module or what it needs is not there; dlerror(3) says what.
 * It stays loaded; loading it again costs nothing. */
const void *nacre_module_table(const char *file, const char *table);

#ifdef __cplusplus
}
#endif
#endif
