/*
 * Key revocation lists under construction: what is revoked is kept in sorted sets, so that a list
 * made twice from the same words is the same file.
 */
#include <key/key.h>
#include <key/krl.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENTRIES_MAX ((size_t)4 * 1024 * 1024) /* of one set */

/* Byte strings, each with memory of its own. */
struct string_set {
	struct nacre_span *items;
	size_t count, capacity;
};

struct range {
	uint64_t first, last;
};

/* What is revoked of one authority. */
struct authority {
	struct nacre_span blob; /* empty: any */
	struct range *ranges;
	size_t range_count, range_capacity;
	struct string_set key_ids;
};

struct nacre_krl {
	uint64_t version, generated;
	char *comment;
	struct string_set keys, sha1, sha256;
	struct authority *authorities;
	size_t authority_count;
};

/* Sets ------------------------------------------------------------------------------------- */

/* Room for one more; NULL when there is none. */
static void *
grow(void *array, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return array;
	if (count >= ENTRIES_MAX)
		return NULL;
	size_t wanted = *capacity > 0 ? 2 * *capacity : 16;
	void *grown = reallocarray(array, wanted, size);
	if (grown != NULL)
		*capacity = wanted;
	return grown;
}

/* A copy that the caller frees; its data is NULL without memory. */
static struct nacre_span
copy_span(struct nacre_span from)
{
	struct nacre_span copy = {malloc(from.length + 1), from.length};

	if (copy.data != NULL && from.length > 0)
		memcpy((void *)copy.data, from.data, from.length);
	return copy;
}

static int
set_add(struct string_set *set, struct nacre_span item)
{
	struct nacre_span *items = grow(set->items, set->count, &set->capacity, sizeof *items);

	if (items == NULL)
		return NACRE_ERROR_MEMORY;
	set->items = items;
	items[set->count] = copy_span(item);
	if (items[set->count].data == NULL)
		return NACRE_ERROR_MEMORY;
	set->count++;
	return 0;
}

static void
set_free(struct string_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		free((void *)set->items[i].data);
	free(set->items);
}

static int
compare_spans(const void *left, const void *right)
{
	const struct nacre_span *a = left, *b = right;
	size_t common = a->length < b->length ? a->length : b->length;
	int order = memcmp(a->data, b->data, common);

	if (order != 0)
		return order;
	return a->length < b->length ? -1 : a->length > b->length;
}

/* Sorts, and drops what is there twice. */
static void
set_tidy(struct string_set *set)
{
	size_t kept = 0;

	if (set->count > 1)
		qsort(set->items, set->count, sizeof *set->items, compare_spans);
	for (size_t i = 0; i < set->count; i++) {
		if (kept > 0 && nacre_span_equal(set->items[kept - 1], set->items[i]))
			free((void *)set->items[i].data);
		else
			set->items[kept++] = set->items[i];
	}
	set->count = kept;
}

static int
compare_ranges(const void *left, const void *right)
{
	const struct range *a = left, *b = right;

	return a->first < b->first ? -1 : a->first > b->first;
}

/* Sorts, and joins ranges that touch. */
static void
ranges_tidy(struct authority *authority)
{
	struct range *ranges = authority->ranges;
	size_t kept = 0;

	if (authority->range_count > 1)
		qsort(ranges, authority->range_count, sizeof *ranges, compare_ranges);
	for (size_t i = 0; i < authority->range_count; i++) {
		struct range *last = kept > 0 ? &ranges[kept - 1] : NULL;

		if (last == NULL || (last->last != UINT64_MAX && ranges[i].first > last->last + 1))
			ranges[kept++] = ranges[i];
		else if (ranges[i].last > last->last)
			last->last = ranges[i].last;
	}
	authority->range_count = kept;
}

static struct authority *
authority_find(struct nacre_krl *krl, struct nacre_span blob)
{
	for (size_t i = 0; i < krl->authority_count; i++)
		if (nacre_span_equal(krl->authorities[i].blob, blob))
			return &krl->authorities[i];
	if (krl->authority_count >= ENTRIES_MAX)
		return NULL;
	struct authority *grown =
	    reallocarray(krl->authorities, krl->authority_count + 1, sizeof *krl->authorities);
	if (grown == NULL)
		return NULL;
	krl->authorities = grown;
	struct authority *made = &grown[krl->authority_count];
	*made = (struct authority){.blob = copy_span(blob)};
	if (made->blob.data == NULL)
		return NULL;
	krl->authority_count++;
	return made;
}

static int
add_range(struct authority *authority, uint64_t first, uint64_t last)
{
	struct range *ranges;

	if (authority == NULL)
		return NACRE_ERROR_MEMORY;
	ranges = grow(
	    authority->ranges, authority->range_count, &authority->range_capacity, sizeof *ranges);
	if (ranges == NULL)
		return NACRE_ERROR_MEMORY;
	authority->ranges = ranges;
	ranges[authority->range_count++] = (struct range){first, last};
	return 0;
}

/* The list ----------------------------------------------------------------------------------- */

int
nacre_krl_new(struct nacre_krl **krl)
{
	*krl = calloc(1, sizeof **krl);
	return *krl != NULL ? 0 : NACRE_ERROR_MEMORY;
}

void
nacre_krl_free(struct nacre_krl *krl)
{
	if (krl == NULL)
		return;
	set_free(&krl->keys);
	set_free(&krl->sha1);
	set_free(&krl->sha256);
	for (size_t i = 0; i < krl->authority_count; i++) {
		free((void *)krl->authorities[i].blob.data);
		free(krl->authorities[i].ranges);
		set_free(&krl->authorities[i].key_ids);
	}
	free(krl->authorities);
	free(krl->comment);
	free(krl);
}

int
nacre_krl_describe(struct nacre_krl *krl, uint64_t version, uint64_t generated, const char *comment)
{
	char *copy = comment != NULL ? strdup(comment) : NULL;

	if (comment != NULL && copy == NULL)
		return NACRE_ERROR_MEMORY;
	free(krl->comment); /* which may have been "comment" */
	krl->comment = copy;
	krl->version = version;
	krl->generated = generated;
	return 0;
}

uint64_t
nacre_krl_version(const struct nacre_krl *krl)
{
	return krl->version;
}

const char *
nacre_krl_comment(const struct nacre_krl *krl)
{
	return krl->comment;
}

int
nacre_krl_revoke_key(struct nacre_krl *krl, const struct nacre_key *key)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	int error = nacre_key_put_blob(key, true, &blob);

	return error != 0 ? error : set_add(&krl->keys, nacre_buffer_span(&blob));
}

int
nacre_krl_revoke_hash(struct nacre_krl *krl, enum nacre_krl_hash hash, struct nacre_span digest)
{
	bool is_sha1 = hash == NACRE_KRL_SHA1;

	if (digest.length != (is_sha1 ? hash_sha1.length : hash_sha256.length))
		return NACRE_ERROR_ARGUMENT;
	return set_add(is_sha1 ? &krl->sha1 : &krl->sha256, digest);
}

int
nacre_krl_revoke_key_hash(
    struct nacre_krl *krl, enum nacre_krl_hash hash, const struct nacre_key *key)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};
	const struct hash_algorithm *algorithm = hash == NACRE_KRL_SHA1 ? &hash_sha1 : &hash_sha256;
	uint8_t digest[HASH_LENGTH_MAX];
	int error = nacre_key_put_blob(key, true, &blob);

	if (error == 0)
		error = hash_span(algorithm, nacre_buffer_span(&blob), digest);
	return error != 0 ? error
			  : nacre_krl_revoke_hash(
				krl, hash, (struct nacre_span){digest, algorithm->length});
}

static struct authority *
authority_of_key(struct nacre_krl *krl, const struct nacre_key *key)
{
	SCOPED_BUFFER struct nacre_buffer blob = {0};

	if (key != NULL && nacre_key_put_blob(key, true, &blob) != 0)
		return NULL;
	return authority_find(krl, nacre_buffer_span(&blob));
}

int
nacre_krl_revoke_serials(
    struct nacre_krl *krl, const struct nacre_key *authority, uint64_t first, uint64_t last)
{
	if (first == 0 || first > last)
		return NACRE_ERROR_ARGUMENT;
	return add_range(authority_of_key(krl, authority), first, last);
}

int
nacre_krl_revoke_key_id(
    struct nacre_krl *krl, const struct nacre_key *authority, struct nacre_span key_id)
{
	struct authority *found = authority_of_key(krl, authority);

	return found != NULL ? set_add(&found->key_ids, key_id) : NACRE_ERROR_MEMORY;
}

/* Loading ------------------------------------------------------------------------------------ */

/* Each run of set bits becomes a range. */
static int
load_bitmap(struct authority *authority, const struct krl_item *item)
{
	uint64_t bits = 8 * (uint64_t)item->data.length, start = 0;
	int error = 0;

	for (uint64_t bit = 0; bit <= bits && error == 0; bit++) {
		if (krl_bitmap_has(item->data, bit))
			continue;
		if (bit > start)
			error = add_range(authority, item->first + start, item->first + bit - 1);
		start = bit + 1;
	}
	return error;
}

static int
load_item(void *context, const struct krl_item *item)
{
	struct nacre_krl *krl = context;
	struct authority *authority;

	switch (item->kind) {
	case KRL_ITEM_KEY:
		return set_add(&krl->keys, item->data);
	case KRL_ITEM_SHA1:
		return set_add(&krl->sha1, item->data);
	case KRL_ITEM_SHA256:
		return set_add(&krl->sha256, item->data);
	default:
		break;
	}
	if ((authority = authority_find(krl, item->authority)) == NULL)
		return NACRE_ERROR_MEMORY;
	if (item->kind == KRL_ITEM_KEY_ID)
		return set_add(&authority->key_ids, item->data);
	return item->kind == KRL_ITEM_BITMAP ? load_bitmap(authority, item)
					     : add_range(authority, item->first, item->last);
}

int
nacre_krl_load(struct nacre_krl *krl, struct nacre_span file)
{
	struct krl_header header;
	int error = krl_walk(file, &header, load_item, krl);
	char *comment = error == 0 ? nacre_span_to_string(header.comment) : NULL;

	if (error == 0)
		error = nacre_krl_describe(krl, header.version, header.generated,
		    header.comment.length > 0 ? comment : NULL);
	free(comment);
	return error;
}

/* Writing ------------------------------------------------------------------------------------ */

static void
tidy(struct nacre_krl *krl)
{
	set_tidy(&krl->keys);
	set_tidy(&krl->sha1);
	set_tidy(&krl->sha256);
	for (size_t i = 0; i < krl->authority_count; i++) {
		ranges_tidy(&krl->authorities[i]);
		set_tidy(&krl->authorities[i].key_ids);
	}
}

static void
put_strings(struct nacre_buffer *file, uint8_t section, const struct string_set *set)
{
	if (set->count == 0)
		return;
	nacre_put_byte(file, section);
	size_t mark = nacre_put_string_begin(file);
	for (size_t i = 0; i < set->count; i++)
		nacre_put_string_span(file, set->items[i]);
	nacre_put_string_end(file, mark);
}

/* How many ranges from the first on lie so close together that a bitmap of all of them is shorter
 * than naming each: at most a range's 16 bytes from one to the next. */
#define CLOSE       ((uint64_t)8 * 16)
#define BITMAP_BITS ((uint64_t)8 * 2000) /* what others read as an mpint */
static size_t
close_together(const struct range *ranges, size_t count)
{
	size_t together = 0;

	while (together < count && ranges[together].last - ranges[together].first < CLOSE &&
	       (together == 0 || ranges[together].first - ranges[together - 1].last < CLOSE) &&
	       ranges[together].last - ranges[0].first < BITMAP_BITS)
		together++;
	return together;
}

static void
put_bitmap(struct nacre_buffer *file, const struct range *ranges, size_t count)
{
	uint64_t first = ranges[0].first;
	size_t length = (size_t)((ranges[count - 1].last - first) / 8 + 1);
	uint8_t *bitmap = calloc(1, length);

	if (bitmap == NULL) {
		file->failed = true;
		return;
	}
	for (size_t i = 0; i < count; i++)
		for (uint64_t bit = ranges[i].first - first; bit <= ranges[i].last - first; bit++)
			bitmap[length - 1 - bit / 8] |= (uint8_t)(1 << bit % 8);
	nacre_put_byte(file, KRL_SERIAL_BITMAP);
	size_t mark = nacre_put_string_begin(file);
	nacre_put_u64(file, first);
	/* As an mpint, but it may be longer than those of keys. */
	nacre_put_u32(file, (uint32_t)length + (bitmap[0] >> 7));
	if ((bitmap[0] & 0x80) != 0)
		nacre_put_byte(file, 0);
	nacre_put_bytes(file, bitmap, length);
	nacre_put_string_end(file, mark);
	free(bitmap);
}

static void
put_range(struct nacre_buffer *file, const struct range *range)
{
	bool single = range->first == range->last;

	nacre_put_byte(file, single ? KRL_SERIAL_LIST : KRL_SERIAL_RANGE);
	size_t mark = nacre_put_string_begin(file);
	nacre_put_u64(file, range->first);
	if (!single)
		nacre_put_u64(file, range->last);
	nacre_put_string_end(file, mark);
}

static void
put_authority(struct nacre_buffer *file, const struct authority *authority)
{
	size_t i = 0;

	nacre_put_byte(file, KRL_SECTION_CERTIFICATES);
	size_t mark = nacre_put_string_begin(file);
	nacre_put_string_span(file, authority->blob);
	nacre_put_cstring(file, ""); /* reserved */
	while (i < authority->range_count) {
		const struct range *ranges = &authority->ranges[i];
		size_t together = close_together(ranges, authority->range_count - i);

		if (together > 1)
			put_bitmap(file, ranges, together);
		else
			put_range(file, ranges);
		i += together > 1 ? together : 1;
	}
	put_strings(file, KRL_KEY_ID, &authority->key_ids);
	nacre_put_string_end(file, mark);
}

int
nacre_krl_encode(struct nacre_krl *krl, struct nacre_buffer *file)
{
	tidy(krl);
	nacre_put_u64(file, KRL_MAGIC);
	nacre_put_u32(file, KRL_VERSION);
	nacre_put_u64(file, krl->version);
	nacre_put_u64(file, krl->generated);
	nacre_put_u64(file, 0);      /* flags */
	nacre_put_cstring(file, ""); /* reserved */
	nacre_put_cstring(file, krl->comment != NULL ? krl->comment : "");
	for (size_t i = 0; i < krl->authority_count; i++)
		put_authority(file, &krl->authorities[i]);
	put_strings(file, KRL_SECTION_KEYS, &krl->keys);
	put_strings(file, KRL_SECTION_SHA1, &krl->sha1);
	put_strings(file, KRL_SECTION_SHA256, &krl->sha256);
	return file->failed ? NACRE_ERROR_MEMORY : 0;
}

/* Showing ------------------------------------------------------------------------------------ */

static void
put_fingerprint_line(
    struct nacre_span blob, const char *before, bool name_last, struct nacre_buffer *text)
{
	SCOPED_KEY struct nacre_key *key = NULL;

	if (nacre_key_from_blob(blob, &key) != 0) {
		nacre_put_format(text, "%s(a key of an unknown type)\n", before);
		return;
	}
	nacre_put_format(text, "%s", before);
	if (!name_last)
		nacre_put_format(text, "%s ", nacre_key_format(key));
	(void)nacre_key_fingerprint(key, NACRE_FINGERPRINT_SHA256, text);
	if (name_last)
		nacre_put_format(text, " # %s", nacre_key_format(key));
	nacre_put_byte(text, '\n');
}

static void
put_digests(const struct string_set *set, const char *before, struct nacre_buffer *text)
{
	for (size_t i = 0; i < set->count; i++) {
		nacre_put_format(text, "%s", before);
		for (size_t at = 0; at < set->items[i].length; at++)
			nacre_put_format(text, "%02x", set->items[i].data[at]);
		nacre_put_byte(text, '\n');
	}
}

static void
put_authority_text(const struct authority *authority, struct nacre_buffer *text)
{
	nacre_put_byte(text, '\n');
	if (authority->blob.length == 0)
		nacre_put_format(text, "# Wildcard CA\n");
	else
		put_fingerprint_line(authority->blob, "# CA key ", false, text);
	for (size_t i = 0; i < authority->range_count; i++) {
		const struct range *range = &authority->ranges[i];

		nacre_put_format(text, "serial: %llu", (unsigned long long)range->first);
		if (range->last != range->first)
			nacre_put_format(text, "-%llu", (unsigned long long)range->last);
		nacre_put_byte(text, '\n');
	}
	for (size_t i = 0; i < authority->key_ids.count; i++) {
		nacre_put_format(text, "id: ");
		nacre_put_span(text, authority->key_ids.items[i]);
		nacre_put_byte(text, '\n');
	}
}

int
nacre_krl_put_text(struct nacre_krl *krl, struct nacre_buffer *text)
{
	time_t generated = (time_t)krl->generated;
	char date[32] = "?";
	struct tm when;

	tidy(krl);
	if (localtime_r(&generated, &when) != NULL)
		strftime(date, sizeof date, "%Y%m%dT%H%M%S", &when);
	nacre_put_format(text, "# KRL version %llu\n# Generated at %s\n",
	    (unsigned long long)krl->version, date);
	if (krl->comment != NULL)
		nacre_put_format(text, "# Comment: %s\n", krl->comment);
	nacre_put_byte(text, '\n');
	for (size_t i = 0; i < krl->keys.count; i++)
		put_fingerprint_line(krl->keys.items[i], "hash: ", true, text);
	put_digests(&krl->sha256, "hash: SHA256:", text);
	put_digests(&krl->sha1, "# hash SHA1:", text);
	for (size_t i = 0; i < krl->authority_count; i++)
		put_authority_text(&krl->authorities[i], text);
	return text->failed ? NACRE_ERROR_MEMORY : 0;
}
