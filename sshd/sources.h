/*
 * Where connections come from: addresses, grouped as PerSourceNetBlockSize says, with the strangers
 * that each has inside and the penalties that it has earned (PerSourcePenalties). The table is as
 * large as these are many, and both are bounded.
 */
#ifndef SSHD_SOURCES_H
#define SSHD_SOURCES_H

#include "crowd.h"
#include "server.h"

#include <sys/socket.h>

struct source {
	struct source *next; /* in its chain of the table */
	uint8_t family;      /* 4, 6, or 0 for everything else */
	uint8_t address[16]; /* without the bits that do not count */
	struct share shares[STRANGER_CLASSES];
	uint64_t penalty_end; /* milliseconds; 0: none */
	bool penalty_active;
	enum worker_outcome penalty_for;
	size_t place; /* in the heap of penalties */
};

struct sources;

enum source_state { SOURCE_GOOD, SOURCE_PENALISED, SOURCE_TABLE_FULL };
enum penalty_change { PENALTY_NONE, PENALTY_NEW, PENALTY_ACTIVATED, PENALTY_ADDED };

/* The configuration is borrowed. 0 or NACRE_ERROR_MEMORY. */
int sources_new(const struct nacre_sshd_config *config, struct sources **sources);
void sources_free(struct sources *sources);
/* The source that an address belongs to; it stays while it has strangers or a penalty, else until
 * sources_drop(). NULL without memory. */
struct source *sources_find(struct sources *sources, const struct sockaddr_storage *address);
/* Forgets a source that nothing is known of. */
void sources_drop(struct sources *sources, struct source *source);
/* Whether connections from it are to be refused; what has expired is forgotten. */
enum source_state sources_judge(struct sources *sources, const struct source *source, uint64_t now);
/* Adds the penalty for an outcome; *seconds is what the source has to wait from now on. */
enum penalty_change sources_penalise(struct sources *sources, struct source *source,
    enum worker_outcome outcome, uint64_t now, unsigned *seconds);
/* Appends the penalties, for sources_take_over() of a later life of the server. */
void sources_keep(const struct sources *sources, struct nacre_buffer *kept);
/* Reads them back. What PerSourcePenalties and PerSourceNetBlockSize say now counts: penalties are
 * not longer than they could be today, and those of networks that were larger than today's, whose
 * culprits are not known, are forgotten. */
void sources_take_over(struct sources *sources, struct nacre_reader *kept, uint64_t now);
/* How many strangers of it are inside. */
size_t source_inside(const struct source *source);
/* "192.0.2.0/24", for the log. */
const char *source_text(
    const struct sources *sources, const struct source *source, char *text, size_t room);
/* "penalty: failed authentication", for the log. */
const char *penalty_text(enum worker_outcome outcome);

#endif
