/*
 * Directories that take their place as a whole: the tree is copied to a directory beside, which
 * then changes places with the one that was there, by one exchange where the server or the file
 * system can, else by two renamings that follow each other at once.
 */
#include <sftp/transfer.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PART_SUFFIX ".nacre-part"
#define AWAY_SUFFIX ".nacre-old"
#define KEPT_SUFFIX ".old"

enum step {
	STEP_BEGIN,     /* all is there: what an earlier copy left in the way goes */
	STEP_SWAP,      /* an exchange, where one is to be had */
	STEP_EXCHANGED, /* what was there is now where the new one was made */
	STEP_RENAME,    /* two renamings in one flight */
	STEP_RENAMED,
	STEP_CLEAR,  /* the new one is in its place: what was there goes */
	STEP_RETIRE, /* or is kept, and the one that was kept before is gone */
	STEP_END
};

static char *
beside(const char *path, const char *prefix, const char *suffix)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	const size_t more = strlen(prefix) + strlen(suffix);
	const size_t length = strlen(name) + more > NAME_MAX ? NAME_MAX - more : strlen(name);
	char *result;

	return asprintf(&result, "%.*s%s%.*s%s", (int)(name - path), path, prefix, (int)length,
		   name, suffix) < 0
		   ? NULL
		   : result;
}

static bool
wants_stage(const struct nacre_transfer *transfer, const struct directory *directory)
{
	return transfer->options.atomic && !transfer->options.sync && !transfer->options.dry_run &&
	       directory->parent == NULL;
}

bool
stage_prepare(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage;
	char *path = directory->target_path, *base;
	size_t length = strlen(path);

	directory->staged = directory->parent != NULL && directory->parent->staged;
	if (!wants_stage(transfer, directory))
		return true;
	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
	base = path_base(path);
	if (base == NULL || strcmp(base, ".") == 0 || strcmp(base, "..") == 0 || path[0] == '\0' ||
	    strcmp(path, "/") == 0) {
		transfer_error(transfer,
		    "--atomic: a directory cannot take the place of \"%s\"; write its name out",
		    path);
		free(base);
		return false;
	}
	free(base);
	stage = directory->stage = calloc(1, sizeof *stage);
	if (stage != NULL) {
		stage->final_path = path;
		stage->away_path = beside(path, ".", AWAY_SUFFIX);
		stage->kept_path = transfer->options.keep ? beside(path, "", KEPT_SUFFIX) : NULL;
		stage->errors = transfer->errors;
		directory->target_path = beside(path, ".", PART_SUFFIX);
	}
	if (stage == NULL || stage->away_path == NULL || directory->target_path == NULL ||
	    (transfer->options.keep && stage->kept_path == NULL)) {
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return false;
	}
	directory->staged = true;
	return true;
}

void
stage_free(struct directory *directory)
{
	struct stage *stage = directory->stage;

	if (stage == NULL)
		return;
	free(stage->final_path);
	free(stage->away_path);
	free(stage->kept_path);
	free(stage);
}

void
stage_refuse(struct nacre_transfer *transfer, const struct directory *directory)
{
	transfer_error(transfer,
	    "\"%s\" is there: another copy is under way, or one was broken off, which --resume "
	    "continues; else remove it",
	    directory->target_path);
}

/* Steps: each true when it waits for answers. ---------------------------------------------------- */

/* A renaming, or with "exchange" the two paths change places; its outcome is number "which". */
static bool
rename_to(struct nacre_transfer *transfer, struct directory *directory, unsigned which,
    const char *from, const char *to, bool exchange)
{
	struct nacre_sftp *sftp = transfer->ends[NACRE_TRANSFER_TARGET];
	struct nacre_sftp_tag tag = transfer_tag(TAG_STAGE_SWAP, directory, which);
	struct nacre_buffer payload = {0};

	if (sftp == NULL) {
		const unsigned flags = exchange ? RENAME_EXCHANGE : RENAME_NOREPLACE;
		int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);

		if (result != 0 && !exchange && errno == EINVAL)
			result = rename(from, to);
		directory->stage->failure[which] = result == 0 ? NULL : strerror(errno);
		return false;
	}
	directory->references++;
	if (exchange) {
		nacre_put_cstring(&payload, from);
		nacre_put_cstring(&payload, to);
	}
	transfer_sent(transfer, payload.failed ? NACRE_ERROR_MEMORY
				: exchange     ? nacre_sftp_extended_request(sftp, "exchange@nacre",
						     nacre_buffer_span(&payload), &tag)
					       : nacre_sftp_paths_request(sftp, NACRE_SFTP_RENAME,
						     nacre_span_of(from), nacre_span_of(to), &tag));
	nacre_buffer_free(&payload);
	return true;
}

static bool
begin(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;

	if (directory->failed || transfer->cancelled || transfer->errors != stage->errors) {
		transfer_error(transfer,
		    "\"%s\" is left as it was; what was copied is in \"%s\", where --resume goes "
		    "on",
		    stage->final_path, directory->target_path);
		stage->step = STEP_END;
		return false;
	}
	stage->step = STEP_SWAP;
	return remove_tree(transfer, directory, stage->away_path);
}

static bool
swap(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;
	const struct nacre_sftp *sftp = transfer->ends[NACRE_TRANSFER_TARGET];

	stage->step = STEP_RENAME;
	if (sftp != NULL && (nacre_sftp_extensions(sftp) & NACRE_SFTP_EXCHANGE) == 0)
		return false;
	stage->step = STEP_EXCHANGED;
	return rename_to(transfer, directory, 0, directory->target_path, stage->final_path, true);
}

/* It fails where nothing was there yet, too. */
static bool
exchanged(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;

	if (stage->failure[0] != NULL) {
		stage->step = STEP_RENAME;
		return false;
	}
	stage->displaced = true;
	stage->step = STEP_CLEAR;
	return rename_to(transfer, directory, 0, directory->target_path, stage->away_path, false);
}

/* The second finds its place free, or it is refused as the first was. */
static bool
rename_both(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;
	const bool first =
	    rename_to(transfer, directory, 0, stage->final_path, stage->away_path, false);
	const bool second =
	    rename_to(transfer, directory, 1, directory->target_path, stage->final_path, false);

	stage->step = STEP_RENAMED;
	return first || second;
}

static bool
renamed(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;

	stage->displaced = stage->failure[0] == NULL;
	stage->step = STEP_CLEAR;
	if (stage->failure[1] == NULL)
		return false;
	transfer_error(transfer, "rename \"%s\" to \"%s\": %s", directory->target_path,
	    stage->final_path, stage->failure[1]);
	stage->step = STEP_END;
	return stage->displaced &&
	       rename_to(transfer, directory, 0, stage->away_path, stage->final_path, false);
}

static bool
clear(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;
	const char *path = stage->kept_path != NULL ? stage->kept_path : stage->away_path;

	stage->step = stage->displaced && stage->kept_path != NULL ? STEP_RETIRE : STEP_END;
	return stage->displaced && remove_tree(transfer, directory, path);
}

static bool
retire(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;

	stage->step = STEP_END;
	return rename_to(transfer, directory, 0, stage->away_path, stage->kept_path, false);
}

static bool (*const steps[])(struct nacre_transfer *transfer, struct directory *directory) = {
    [STEP_BEGIN] = begin,
    [STEP_SWAP] = swap,
    [STEP_EXCHANGED] = exchanged,
    [STEP_RENAME] = rename_both,
    [STEP_RENAMED] = renamed,
    [STEP_CLEAR] = clear,
    [STEP_RETIRE] = retire,
};

bool
stage_continue(struct nacre_transfer *transfer, struct directory *directory)
{
	struct stage *stage = directory->stage;

	if (stage == NULL || transfer->fatal)
		return false;
	while (stage->step != STEP_END)
		if (steps[stage->step](transfer, directory))
			return true;
	return false;
}

void
stage_reply(struct nacre_transfer *transfer, struct directory *directory,
    const struct nacre_sftp_reply *reply)
{
	directory->stage->failure[reply->tag.value & 1] =
	    reply->status == NACRE_SFTP_OK ? NULL : transfer_status_text(reply);
	directory_release(transfer, directory);
}
