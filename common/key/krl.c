/*
 * Key revocation lists: reading, and asking about a key without keeping anything. The file may come
 * from far away; it is read strictly, since a list that is half understood revokes half of what it
 * should.
 */
#include <key/key.h>
#include <key/krl.h>

#include <string.h>

/* What is carried through the sections of a list. */
struct walk {
	struct nacre_span file;
	int (*visit)(void *context, const struct krl_item *item);
	void *context;
	struct nacre_span authority;
};

static int
visit(const struct walk *walk, enum krl_kind kind, struct nacre_span data, uint64_t first,
    uint64_t last)
{
	const struct krl_item item = {
	    .kind = kind, .authority = walk->authority, .data = data, .first = first, .last = last};

	return walk->visit(walk->context, &item);
}

/* Certificates ----------------------------------------------------------------------------- */

static int
read_serial_list(const struct walk *walk, struct nacre_reader *reader)
{
	int error = 0;

	while (error == 0 && !reader->failed && reader->length > 0) {
		uint64_t serial = nacre_get_u64(reader);

		if (!reader->failed)
			error = visit(
			    walk, KRL_ITEM_SERIALS, (struct nacre_span){NULL, 0}, serial, serial);
	}
	return error;
}

static int
read_serial_range(const struct walk *walk, struct nacre_reader *reader)
{
	uint64_t first = nacre_get_u64(reader), last = nacre_get_u64(reader);

	if (!nacre_reader_done(reader) || first > last)
		return NACRE_ERROR_FORMAT;
	return visit(walk, KRL_ITEM_SERIALS, (struct nacre_span){NULL, 0}, first, last);
}

/* An mpint whose lowest bit stands for the offset. It may be longer than a number of any key. */
static int
read_serial_bitmap(const struct walk *walk, struct nacre_reader *reader)
{
	uint64_t offset = nacre_get_u64(reader);
	struct nacre_span bitmap = nacre_get_string(reader);

	if (!nacre_reader_done(reader) || (bitmap.length > 0 && (bitmap.data[0] & 0x80) != 0))
		return NACRE_ERROR_FORMAT;
	while (bitmap.length > 0 && bitmap.data[0] == 0) {
		bitmap.data++;
		bitmap.length--;
	}
	if (bitmap.length > UINT32_MAX / 8 || offset > UINT64_MAX - 8 * (uint64_t)bitmap.length)
		return NACRE_ERROR_FORMAT;
	return bitmap.length == 0 ? 0 : visit(walk, KRL_ITEM_BITMAP, bitmap, offset, offset);
}

static int
read_strings(
    const struct walk *walk, struct nacre_reader *reader, enum krl_kind kind, size_t length)
{
	int error = 0;

	while (error == 0 && !reader->failed && reader->length > 0) {
		struct nacre_span data = nacre_get_string(reader);

		if (length > 0 && data.length != length)
			return NACRE_ERROR_FORMAT;
		if (!reader->failed)
			error = visit(walk, kind, data, 0, 0);
	}
	return error;
}

static int
read_key_ids(const struct walk *walk, struct nacre_reader *reader)
{
	return read_strings(walk, reader, KRL_ITEM_KEY_ID, 0);
}

/* Extensions are not known; one that is critical makes the list unusable. */
static int
read_extension(const struct walk *walk, struct nacre_reader *reader)
{
	(void)walk;
	nacre_get_string(reader); /* name */
	bool critical = nacre_get_boolean(reader);
	nacre_get_string(reader);
	if (!nacre_reader_done(reader))
		return NACRE_ERROR_FORMAT;
	return critical ? NACRE_ERROR_UNSUPPORTED : 0;
}

struct section {
	uint8_t type;
	int (*read)(const struct walk *walk, struct nacre_reader *reader);
};

/* One section or subsection: a type, and a string that "read" has to use up. */
static int
read_section(const struct walk *walk, const struct section *sections, size_t count, uint8_t type,
    struct nacre_span content)
{
	struct nacre_reader reader = nacre_reader_of(content);
	int error;

	for (size_t i = 0; i < count; i++) {
		if (sections[i].type != type)
			continue;
		error = sections[i].read(walk, &reader);
		return error == 0 && !nacre_reader_done(&reader) ? NACRE_ERROR_FORMAT : error;
	}
	return NACRE_ERROR_UNSUPPORTED;
}

static const struct section certificate_sections[] = {{KRL_SERIAL_LIST, read_serial_list},
    {KRL_SERIAL_RANGE, read_serial_range}, {KRL_SERIAL_BITMAP, read_serial_bitmap},
    {KRL_KEY_ID, read_key_ids}, {KRL_CERTIFICATE_EXTENSION, read_extension}};

static int
read_certificates(const struct walk *walk, struct nacre_reader *reader)
{
	struct walk inner = *walk;
	int error = 0;

	inner.authority = nacre_get_string(reader);
	nacre_get_string(reader); /* reserved */
	while (error == 0 && !reader->failed && reader->length > 0) {
		uint8_t type = nacre_get_byte(reader);
		struct nacre_span content = nacre_get_string(reader);

		if (!reader->failed)
			error = read_section(&inner, certificate_sections,
			    sizeof certificate_sections / sizeof certificate_sections[0], type,
			    content);
	}
	return error;
}

/* Sections --------------------------------------------------------------------------------- */

static int
read_keys(const struct walk *walk, struct nacre_reader *reader)
{
	return read_strings(walk, reader, KRL_ITEM_KEY, 0);
}

static int
read_sha1(const struct walk *walk, struct nacre_reader *reader)
{
	return read_strings(walk, reader, KRL_ITEM_SHA1, hash_sha1.length);
}

static int
read_sha256(const struct walk *walk, struct nacre_reader *reader)
{
	return read_strings(walk, reader, KRL_ITEM_SHA256, hash_sha256.length);
}

static const struct section sections[] = {{KRL_SECTION_CERTIFICATES, read_certificates},
    {KRL_SECTION_KEYS, read_keys}, {KRL_SECTION_SHA1, read_sha1}, {KRL_SECTION_SHA256, read_sha256},
    {KRL_SECTION_EXTENSION, read_extension}};

/* The signature covers everything up to and with the key that made it. */
static int
check_signature(struct nacre_span file, struct nacre_span blob, struct nacre_reader *reader)
{
	struct nacre_span covered = {file.data, file.length - reader->length};
	struct nacre_span signature = nacre_get_string(reader);
	SCOPED_KEY struct nacre_key *key = NULL;
	int error = reader->failed ? NACRE_ERROR_FORMAT : nacre_key_from_blob(blob, &key);

	return error != 0 ? error : nacre_key_verify(key, NULL, signature, covered);
}

static int
read_sections(const struct walk *walk, struct nacre_reader *reader)
{
	bool is_signed = false;
	int error = 0;

	while (error == 0 && reader->length > 0) {
		uint8_t type = nacre_get_byte(reader);
		struct nacre_span content = nacre_get_string(reader);

		if (reader->failed || (is_signed && type != KRL_SECTION_SIGNATURE))
			return NACRE_ERROR_FORMAT;
		is_signed = type == KRL_SECTION_SIGNATURE;
		error = is_signed ? check_signature(walk->file, content, reader)
				  : read_section(walk, sections,
					sizeof sections / sizeof sections[0], type, content);
	}
	return error;
}

bool
nacre_krl_is(struct nacre_span file)
{
	struct nacre_reader reader = nacre_reader_of(file);

	return nacre_get_u64(&reader) == KRL_MAGIC;
}

int
krl_walk(struct nacre_span file, struct krl_header *header,
    int (*visitor)(void *context, const struct krl_item *item), void *context)
{
	const struct walk walk = {.file = file, .visit = visitor, .context = context};
	struct nacre_reader reader = nacre_reader_of(file);
	uint64_t magic = nacre_get_u64(&reader);
	uint32_t format = nacre_get_u32(&reader);

	header->version = nacre_get_u64(&reader);
	header->generated = nacre_get_u64(&reader);
	nacre_get_u64(&reader);    /* flags, none of which has a meaning */
	nacre_get_string(&reader); /* reserved */
	header->comment = nacre_get_string(&reader);
	if (reader.failed || magic != KRL_MAGIC)
		return NACRE_ERROR_FORMAT;
	if (format != KRL_VERSION)
		return NACRE_ERROR_UNSUPPORTED;
	return read_sections(&walk, &reader);
}

bool
krl_bitmap_has(struct nacre_span bitmap, uint64_t bit)
{
	if (bit / 8 >= bitmap.length)
		return false;
	return (bitmap.data[bitmap.length - 1 - bit / 8] >> (bit % 8) & 1) != 0;
}

/* Asking ----------------------------------------------------------------------------------- */

#define FOUND 1

/* A key in the forms that a list may name it by. Hashes are made when first needed. */
struct named_key {
	struct nacre_buffer blob;
	uint8_t sha1[20], sha256[32];
	bool has_sha1, has_sha256;
};

struct question {
	const struct nacre_certificate *certificate;
	struct named_key keys[2]; /* the key and, for a certificate, its authority */
	size_t key_count;
};

static int
digest_is(const struct hash_algorithm *hash, const struct named_key *key, uint8_t *digest,
    bool *known, struct nacre_span wanted)
{
	int error = *known ? 0 : hash_span(hash, nacre_buffer_span(&key->blob), digest);

	*known = error == 0;
	if (error != 0)
		return error;
	return memcmp(digest, wanted.data, wanted.length) == 0 ? FOUND : 0;
}

static int
key_is_item(struct named_key *key, const struct krl_item *item)
{
	switch (item->kind) {
	case KRL_ITEM_KEY:
		return nacre_span_equal(nacre_buffer_span(&key->blob), item->data) ? FOUND : 0;
	case KRL_ITEM_SHA1:
		return digest_is(&hash_sha1, key, key->sha1, &key->has_sha1, item->data);
	case KRL_ITEM_SHA256:
		return digest_is(&hash_sha256, key, key->sha256, &key->has_sha256, item->data);
	default:
		return 0;
	}
}

/* Serial 0 is what an authority writes that does not count: it names nothing. */
static bool
certificate_is_item(const struct question *question, const struct krl_item *item)
{
	const struct nacre_certificate *certificate = question->certificate;

	if (certificate == NULL ||
	    (item->authority.length > 0 &&
		!nacre_span_equal(item->authority, nacre_buffer_span(&question->keys[1].blob))))
		return false;
	uint64_t serial = certificate->serial;
	if (item->kind == KRL_ITEM_KEY_ID)
		return nacre_span_equal(item->data, certificate->key_id);
	if (serial == 0 || serial < item->first)
		return false;
	if (item->kind == KRL_ITEM_BITMAP)
		return krl_bitmap_has(item->data, serial - item->first);
	return item->kind == KRL_ITEM_SERIALS && serial <= item->last;
}

static int
ask_item(void *context, const struct krl_item *item)
{
	struct question *question = context;

	if (item->kind >= KRL_ITEM_SERIALS)
		return certificate_is_item(question, item) ? FOUND : 0;
	for (size_t i = 0; i < question->key_count; i++) {
		int outcome = key_is_item(&question->keys[i], item);

		if (outcome != 0)
			return outcome;
	}
	return 0;
}

int
nacre_krl_find(struct nacre_span file, const struct nacre_key *key)
{
	struct question question = {.certificate = key->certificate, .key_count = 1};
	struct krl_header header;
	int error = nacre_key_put_blob(key, true, &question.keys[0].blob);

	if (error == 0 && key->certificate != NULL) {
		question.key_count = 2;
		error =
		    nacre_key_put_blob(key->certificate->authority, true, &question.keys[1].blob);
	}
	if (error == 0)
		error = krl_walk(file, &header, ask_item, &question);
	nacre_buffer_free(&question.keys[0].blob);
	nacre_buffer_free(&question.keys[1].blob);
	if (error == FOUND)
		return 0;
	return error == 0 ? NACRE_ERROR_NOT_FOUND : error;
}
