#include "line.h"

#include "cli/text.h"
#include "common/file.h"
#include "counter.h"
#include "line_request.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const folders[] = {"trust", "counters", "outbox"};

static outcome make_folders(const char *folder, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	outcome r = factory_folder(folder, 0700, f);
	for (size_t i = 0; r.ok && i < sizeof folders / sizeof *folders; i++) {
		r = factory_path(folder, folders[i], path, f);
		if (r.ok)
			r = factory_folder(path, 0755, f);
	}
	return r;
}

static outcome name_key(const char *path, const char *uri, struct fault *f)
{
	struct buf text = {0};
	json_t *o = json_pack("{s:s}", "key", uri);
	char *json = o ? json_dumps(o, JSON_COMPACT) : NULL;
	if (json)
		buf_printf(&text, "%s\n", json);
	outcome r = json && !text.failed ? file_replace(path, buf_view(&text), 0600, f)
					 : refuse(f, REASON_NO_MEMORY, "no memory to write %s", path);
	free(json);
	json_decref(o);
	buf_free(&text);
	return r;
}

/* A key of the line's own folder, or of a file or token elsewhere, tried before it is written down. */
static outcome take_key(const char *folder, const char *uri, EVP_PKEY **key, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	outcome r = factory_path(folder, uri ? "line.json" : "line.key", path, f);
	if (!r.ok)
		return r;
	if (!uri)
		return factory_own_key(path, key, f);
	r = factory_load_key(uri, key, f);
	return r.ok ? name_key(path, uri, f) : r;
}

static outcome write_request(const char *folder, const struct programme *p, EVP_PKEY *key, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	struct buf request = {0};
	outcome r = line_request_write(&request, p->id, key, f);
	if (r.ok)
		r = factory_path(folder, "request.json", path, f);
	if (r.ok)
		r = file_replace(path, buf_view(&request), 0644, f);
	buf_free(&request);
	return r;
}

/* programme.json comes last: a folder that has one is complete. */
static outcome init(const struct arguments *a, const char **folder, struct programme *p,
		    uint8_t id[KEY_ID_SIZE], struct fault *f)
{
	const char *programme;
	char path[FACTORY_PATH_MAX];
	uint8_t point[P256_POINT_SIZE];
	EVP_PKEY *key = NULL;
	outcome r = factory_need(a, "dir", folder, f);
	if (r.ok)
		r = factory_need(a, "programme", &programme, f);
	if (r.ok)
		r = programme_load(programme, p, f);
	if (r.ok)
		r = factory_path(*folder, "programme.json", path, f);
	if (r.ok && !access(path, F_OK))
		r = refuse(f, REASON_CONFLICT, "%s exists: a line is begun once; give it another folder",
			   path);
	if (r.ok)
		r = make_folders(*folder, f);
	if (r.ok)
		r = take_key(*folder, argument(a, "key"), &key, f);
	if (r.ok && !provenance_point(key, point))
		r = crypto_fault(f, "the line's key");
	if (r.ok)
		r = write_request(*folder, p, key, f);
	if (r.ok)
		r = programme_save(path, p, f);
	EVP_PKEY_free(key);
	provenance_key_id(point, id);
	return r;
}

static int line_init(struct ctl *c, const struct arguments *a)
{
	struct programme p;
	struct fault f;
	uint8_t id[KEY_ID_SIZE];
	char hex[LINE_ID_HEX];
	const char *folder;
	(void)c;
	if (!init(a, &folder, &p, id, &f).ok)
		return ctl_fail(&f);
	line_id_hex(id, hex);
	printf("line %s for %s\n", hex, p.name);
	printf("  to send            %s/request.json to the OEM: line certify\n"
	       "  to take in         what comes back, and the records of the lines before this one:\n"
	       "                     mooring-factory line trust --dir %s RECORD...\n",
	       folder, folder);
	return EXIT_DONE;
}

static outcome take_in(struct line *l, const char *file, char id[LINE_ID_HEX], int64_t *version,
		       struct fault *f)
{
	struct held_record record;
	char path[FACTORY_PATH_MAX], name[LINE_ID_HEX + 8];
	uint8_t key_id[KEY_ID_SIZE];
	outcome r = held_record_load(file, &l->programme, &record, f);
	if (!r.ok)
		return r;
	provenance_key_id(record.record.key, key_id);
	line_id_hex(key_id, id);
	const struct line_record *there = trust_find(&l->trust, key_id);
	*version = record.record.version;
	if (there && there->version > record.record.version)
		r = refuse(f, REASON_CONFLICT, "%s: version %lld of this record is here already", file,
			   (long long)there->version);
	snprintf(name, sizeof name, "trust/%s", id);
	if (r.ok)
		r = line_path(l, name, path, f);
	if (r.ok)
		r = file_replace(path, buf_view(&record.bytes), 0644, f);
	if (!r.ok) {
		buf_free(&record.bytes);
		return r;
	}
	return trust_add(&l->trust, &record, f);
}

static int line_trust(struct ctl *c, const struct arguments *a)
{
	struct line l = {0};
	struct fault f;
	char id[LINE_ID_HEX];
	int64_t version;
	const char *folder;
	(void)c;
	outcome r = factory_need(a, "dir", &folder, &f);
	if (r.ok)
		r = line_open(folder, &l, &f);
	for (size_t i = 0; r.ok && i < a->word_count; i++) {
		r = take_in(&l, a->words[i], id, &version, &f);
		if (r.ok)
			printf("line %s, version %lld\n", id, (long long)version);
	}
	line_close(&l);
	return factory_end(r, &f);
}

static void print_own_record(const struct line *l)
{
	const struct line_record *own = trust_find(&l->trust, l->id);
	char hex[LINE_ID_HEX], until[TEXT_TIME_SIZE];
	line_id_hex(l->id, hex);
	text_field("line", hex);
	text_field("programme", l->programme.name);
	text_field("site", own ? own->site : "no record yet: line certify, line trust");
	if (!own)
		return;
	text_field("state", line_state_name(own->state));
	text_field("until", text_time_s(own->not_after, until));
}

static outcome print_counter(void *arg, const char *path, struct fault *f)
{
	struct counter c;
	char text[64];
	struct buf in = {0};
	(void)arg;
	outcome r = file_read(path, COUNTER_FILE_MAX, &in, f);
	if (r.ok)
		r = counter_parse(buf_view(&in), &c, f);
	if (r.ok) {
		snprintf(text, sizeof text, "stage %lld: %lld of %lld numbers used", (long long)c.stage,
			 (long long)c.used, (long long)c.quota);
		text_field(c.batch, text);
	}
	buf_free(&in);
	return r;
}

static int line_status(struct ctl *c, const struct arguments *a)
{
	struct line l = {0};
	struct fault f;
	const char *folder;
	char counters[FACTORY_PATH_MAX];
	(void)c;
	outcome r = factory_need(a, "dir", &folder, &f);
	if (r.ok)
		r = line_open(folder, &l, &f);
	if (r.ok)
		r = line_path(&l, "counters", counters, &f);
	if (r.ok) {
		print_own_record(&l);
		r = factory_each(counters, print_counter, NULL, &f);
	}
	line_close(&l);
	return factory_end(r, &f);
}

static const struct option_spec init_options[] = {
	{"dir", "DIR", "the line's folder; made where it is missing (0700)"},
	{"programme", "PROGRAMME.json", "the OEM's public file"},
	{"key", "URI",
	 "a key that is elsewhere: a file, or pkcs11: where OpenSSL has a provider (a new one)"},
	{NULL, NULL, NULL},
};
static const struct option_spec dir_options[] = {
	{"dir", "DIR", "the line's folder"},
	{NULL, NULL, NULL},
};

const struct command line_commands[] = {
	{
		.name = "line init",
		.arguments = "--dir DIR --programme PROGRAMME.json [--key URI]",
		.summary = "begin a line: a key at the line, and a request to be known",
		.help = "Makes the line's key, or takes one of a token, and writes the request that the OEM\n"
			"certifies. The key never leaves the line. Never put back an old copy of this "
			"folder: a\n"
			"number would be used twice, and that is proof of cheating; begin again with another "
			"key.",
		.examples = "  mooring-factory line init --dir line-1 --programme programme.json\n"
			    "  mooring-factory line init --dir line-1 --programme programme.json \\\n"
			    "      --key 'pkcs11:token=line-1;object=stage;pin-source=file:/etc/line/pin'\n",
		.files = "  DIR/line.key            PKCS#8, 0600; or DIR/line.json, which says where the key "
			 "is\n"
			 "  DIR/request.json        public: to send to the OEM\n",
		.options = init_options,
		.run = line_init,
		.offline = true,
	},
	{
		.name = "line trust",
		.arguments = "--dir DIR RECORD...",
		.summary = "take in line records: this line's own, and those of the lines before it",
		.help = "Each is checked against the line authority's key, and an older version never "
			"replaces a\n"
			"newer one. With the records of the lines before it, this line checks their "
			"signatures\n"
			"on every device that arrives.",
		.examples = "  mooring-factory line trust --dir line-2 line-2.record line-1.record\n",
		.options = dir_options,
		.words_min = 1,
		.words_max = WORDS_MAX,
		.run = line_trust,
		.offline = true,
	},
	{
		.name = "line status",
		.arguments = "--dir DIR",
		.summary = "who this line is, and how far it has counted",
		.help = "Shows id, programme, the state of the line's record, and the numbers used of each "
			"order.",
		.examples = "  mooring-factory line status --dir line-1\n",
		.options = dir_options,
		.run = line_status,
		.offline = true,
	},
	{0},
};
