/*
 * Remote sources: "~", patterns as glob(7) has them, and the look at each path that comes out. A
 * pattern that matches nothing is tried as a plain name.
 */
#include <sftp/transfer.h>

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MATCHES_MAX 1000000

struct match {
	char *name;
	struct nacre_sftp_attributes attributes;
};

bool
nacre_glob_has_wildcards(const char *pattern, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (pattern[i] == '\\' && i + 1 < length)
			i++;
		else if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[')
			return true;
	}
	return false;
}

char *
nacre_glob_unquote(const char *pattern, size_t length)
{
	char *text = malloc(length + 1);
	size_t used = 0;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < length; i++) {
		if (pattern[i] == '\\' && i + 1 < length)
			i++;
		text[used++] = pattern[i];
	}
	text[used] = '\0';
	return text;
}

static char *
concatenate(const char *a, const char *b)
{
	char *text;

	return asprintf(&text, "%s%s", a, b) < 0 ? NULL : text;
}

static void
free_matches(struct glob *glob)
{
	for (size_t i = 0; i < glob->match_count; i++)
		free(glob->matches[i].name);
	free(glob->matches);
	glob->matches = NULL;
	glob->match_count = 0;
}

static void
glob_destroy(struct tracked *object)
{
	struct glob *glob = (struct glob *)object;

	free_matches(glob);
	free(glob->base);
	free(glob->rest);
	free(glob);
}

/* Takes "base" and "rest" over. */
static struct glob *
glob_new(struct nacre_transfer *transfer, struct root *root, char *base, char *rest)
{
	struct glob *glob = calloc(1, sizeof *glob);

	if (glob == NULL || base == NULL || rest == NULL) {
		free(glob);
		free(base);
		free(rest);
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return NULL;
	}
	glob->root = root;
	glob->base = base;
	glob->rest = rest;
	root->pending++;
	object_track(transfer, &glob->tracked, glob_destroy);
	return glob;
}

static void glob_step(struct nacre_transfer *transfer, struct glob *glob);

/* The last part of a pattern tells whether there was a match at all. */
static void
glob_done(struct nacre_transfer *transfer, struct glob *glob)
{
	struct root *root = glob->root;

	object_free(&glob->tracked);
	if (--root->pending > 0)
		return;
	if (root->matches == 0 && !root->literal) {
		root->literal = true;
		glob = glob_new(transfer, root, strdup(""), strdup(root->path));
		if (glob != NULL)
			glob_step(transfer, glob);
		return;
	}
	object_free(&root->tracked);
}

static void
send_path(struct nacre_transfer *transfer, struct glob *glob, enum nacre_sftp_message message,
    enum tag_kind kind, const char *path)
{
	struct nacre_sftp_tag tag = transfer_tag(kind, glob, 0);

	transfer_sent(transfer, nacre_sftp_path_request(transfer->ends[NACRE_TRANSFER_SOURCE],
				    message, nacre_span_of(path[0] != '\0' ? path : "."), &tag));
}

/* All of the pattern is plain: "base" becomes the path. */
static void
examine_plain(struct nacre_transfer *transfer, struct glob *glob)
{
	struct root *root = glob->root;
	char *rest =
	    root->literal ? strdup(glob->rest) : nacre_glob_unquote(glob->rest, strlen(glob->rest));
	char *path = rest != NULL ? concatenate(glob->base, rest) : NULL;

	free(rest);
	if (path == NULL) {
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return;
	}
	free(glob->base);
	glob->base = path;
	glob->rest[0] = '\0';
	send_path(transfer, glob, NACRE_SFTP_STAT, TAG_GLOB_STAT, path);
}

/* Moves plain components in front of the first pattern to the base. */
static bool
advance(struct glob *glob)
{
	for (;;) {
		size_t length = strcspn(glob->rest, "/");
		char *plain, *base;

		if (nacre_glob_has_wildcards(glob->rest, length))
			return true;
		plain = nacre_glob_unquote(glob->rest, length + 1);
		base = plain != NULL ? concatenate(glob->base, plain) : NULL;
		free(plain);
		if (base == NULL)
			return false;
		free(glob->base);
		glob->base = base;
		memmove(glob->rest, glob->rest + length + 1, strlen(glob->rest + length + 1) + 1);
	}
}

static void
glob_step(struct nacre_transfer *transfer, struct glob *glob)
{
	if (glob->root->literal || !nacre_glob_has_wildcards(glob->rest, strlen(glob->rest))) {
		examine_plain(transfer, glob);
		return;
	}
	if (!advance(glob)) {
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		return;
	}
	send_path(transfer, glob, NACRE_SFTP_OPENDIR, TAG_GLOB, glob->base);
}

static void
expand_user(struct nacre_transfer *transfer, struct glob *glob)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_GLOB_EXPAND, glob, 0);
	struct nacre_buffer payload = {0};

	nacre_put_string(&payload, glob->rest, strcspn(glob->rest, "/"));
	transfer_sent(transfer,
	    payload.failed ? NACRE_ERROR_MEMORY
			   : nacre_sftp_extended_request(transfer->ends[NACRE_TRANSFER_SOURCE],
				 "expand-path@openssh.com", nacre_buffer_span(&payload), &tag));
	nacre_buffer_free(&payload);
}

void
glob_start(struct nacre_transfer *transfer, struct root *root)
{
	struct glob *glob;
	const char *path = root->path;
	bool home = path[0] == '~' && (path[1] == '/' || path[1] == '\0');

	root->literal = !nacre_glob_has_wildcards(path, strlen(path)) && strchr(path, '\\') == NULL;
	/* An SFTP session starts at home. */
	if (home)
		path += 1 + strspn(path + 1, "/");
	glob = glob_new(transfer, root, strdup(""), strdup(path));
	if (glob == NULL)
		return;
	if (path[0] == '~' && !home)
		expand_user(transfer, glob);
	else
		glob_step(transfer, glob);
}

static void
user_expanded(struct nacre_transfer *transfer, struct glob *glob, struct nacre_sftp_reply *reply)
{
	struct nacre_sftp_name name;
	size_t length = strcspn(glob->rest, "/");
	char *home = NULL;

	if (reply->message == NACRE_SFTP_NAME && nacre_sftp_get_name(&reply->names, &name))
		home = nacre_span_to_string(name.file_name);
	if (home == NULL) {
		transfer_error(transfer, "%s: %s", glob->rest,
		    reply->status == NACRE_SFTP_OP_UNSUPPORTED
			? "the server cannot expand ~user paths; write the path out"
			: transfer_status_text(reply));
		glob->root->literal = true;
		glob_done(transfer, glob);
		return;
	}
	free(glob->base);
	if (glob->rest[length] == '/') {
		glob->base = path_join(home, "");
		free(home);
		length++;
	} else {
		glob->base = home;
	}
	memmove(glob->rest, glob->rest + length, strlen(glob->rest + length) + 1);
	glob_step(transfer, glob);
}

static void
plain_examined(struct nacre_transfer *transfer, struct glob *glob, struct nacre_sftp_reply *reply)
{
	if (reply->message == NACRE_SFTP_ATTRS) {
		glob->root->matches++;
		tree_add_root(
		    transfer, glob->base[0] != '\0' ? glob->base : ".", &reply->attributes);
	} else if (glob->root->literal) {
		transfer_error(transfer, "%s: %s", glob->base[0] != '\0' ? glob->base : ".",
		    transfer_status_text(reply));
	}
	glob_done(transfer, glob);
}

static void
send_readdir(struct nacre_transfer *transfer, struct glob *glob)
{
	struct nacre_sftp_tag tag = transfer_tag(TAG_GLOB_READDIR, glob, 0);

	while (
	    glob->readdirs < 2 &&
	    transfer_sent(transfer, nacre_sftp_handle_request(transfer->ends[NACRE_TRANSFER_SOURCE],
					NACRE_SFTP_READDIR, handle_span(&glob->handle), &tag)))
		glob->readdirs++;
}

static bool
add_match(struct glob *glob, const struct nacre_sftp_name *entry)
{
	struct match *matches;

	if ((glob->match_count & (glob->match_count - 1)) == 0) {
		size_t capacity = glob->match_count == 0 ? 1 : glob->match_count * 2;

		matches = reallocarray(glob->matches, capacity, sizeof *matches);
		if (matches == NULL || glob->match_count >= MATCHES_MAX)
			return false;
		glob->matches = matches;
	}
	glob->matches[glob->match_count].attributes = entry->attributes;
	glob->matches[glob->match_count].name = nacre_span_to_string(entry->file_name);
	return glob->matches[glob->match_count++].name != NULL;
}

static void
match_entries(struct nacre_transfer *transfer, struct glob *glob, struct nacre_reader *names)
{
	size_t length = strcspn(glob->rest, "/");
	char *pattern = strndup(glob->rest, length);
	struct nacre_sftp_name entry;

	while (pattern != NULL && nacre_sftp_get_name(names, &entry)) {
		char *name =
		    name_is_safe(entry.file_name) ? nacre_span_to_string(entry.file_name) : NULL;

		if (name != NULL && fnmatch(pattern, name, FNM_PERIOD) == 0 &&
		    !add_match(glob, &entry))
			transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
		free(name);
	}
	if (pattern == NULL)
		transfer_fatal(transfer, nacre_error_string(NACRE_ERROR_MEMORY));
	free(pattern);
}

static int
compare_matches(const void *a, const void *b)
{
	return strcmp(((const struct match *)a)->name, ((const struct match *)b)->name);
}

static void
follow_match(
    struct nacre_transfer *transfer, struct glob *glob, const struct match *match, const char *rest)
{
	mode_t mode = match->attributes.permissions & S_IFMT;
	char *path = concatenate(glob->base, match->name);
	struct glob *next;

	/* What the listing tells is enough, but for links. */
	if (path != NULL && rest[0] == '\0' &&
	    (match->attributes.flags & NACRE_SFTP_ATTR_PERMISSIONS) &&
	    (mode == S_IFREG || mode == S_IFDIR)) {
		glob->root->matches++;
		tree_add_root(transfer, path, &match->attributes);
		free(path);
		return;
	}
	next = glob_new(transfer, glob->root, path, strdup(rest));
	if (next != NULL)
		glob_step(transfer, next);
}

static void
list_ended(struct nacre_transfer *transfer, struct glob *glob)
{
	const char *rest = glob->rest + strcspn(glob->rest, "/");

	transfer_sent(transfer, nacre_sftp_handle_request(transfer->ends[NACRE_TRANSFER_SOURCE],
				    NACRE_SFTP_CLOSE, handle_span(&glob->handle), NULL));
	if (glob->match_count > 1)
		qsort(glob->matches, glob->match_count, sizeof *glob->matches, compare_matches);
	if (glob->match_count > 1 && rest[0] == '\0' && !tree_target_for_many(transfer)) {
		glob->root->matches = glob->match_count;
		free_matches(glob);
	}
	for (size_t i = 0; i < glob->match_count && !transfer->fatal; i++)
		follow_match(transfer, glob, &glob->matches[i], rest);
	glob_done(transfer, glob);
}

static void
list_read(struct nacre_transfer *transfer, struct glob *glob, struct nacre_sftp_reply *reply)
{
	glob->readdirs--;
	if (reply->message == NACRE_SFTP_NAME && reply->count > 0)
		match_entries(transfer, glob, &reply->names);
	else
		glob->listed = true;
	if (!glob->listed)
		send_readdir(transfer, glob);
	else if (glob->readdirs == 0)
		list_ended(transfer, glob);
}

void
glob_reply(struct nacre_transfer *transfer, enum tag_kind kind, struct nacre_sftp_reply *reply)
{
	struct glob *glob = reply->tag.context;

	switch (kind) {
	case TAG_GLOB_EXPAND:
		user_expanded(transfer, glob, reply);
		break;
	case TAG_GLOB_STAT:
		plain_examined(transfer, glob, reply);
		break;
	case TAG_GLOB_READDIR:
		list_read(transfer, glob, reply);
		break;
	default:
		if (reply->message == NACRE_SFTP_HANDLE) {
			handle_set(&glob->handle, reply->handle);
			send_readdir(transfer, glob);
		} else {
			glob_done(transfer, glob);
		}
		break;
	}
}
