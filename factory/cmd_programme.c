#include "factory.h"
#include "programme.h"

#include "cli/text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static outcome register_point(const char *path, uint8_t point[P256_POINT_SIZE], struct fault *f)
{
	EVP_PKEY *key = NULL;
	outcome r = key_load_public_pem(path, &key, f);
	if (r.ok && !provenance_point(key, point))
		r = refuse(f, REASON_CRYPTO, "%s: not a P-256 key", path);
	EVP_PKEY_free(key);
	return r;
}

static outcome make_key(const char *folder, const char *name, uint8_t point[P256_POINT_SIZE], struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	EVP_PKEY *key = NULL;
	outcome r = factory_path(folder, name, path, f);
	if (r.ok)
		r = factory_own_key(path, &key, f);
	if (r.ok && !provenance_point(key, point))
		r = crypto_fault(f, path);
	EVP_PKEY_free(key);
	return r;
}

static outcome init(const struct arguments *a, const char **folder, struct programme *p, struct fault *f)
{
	const char *name, *register_key;
	char path[FACTORY_PATH_MAX];
	outcome r = factory_need(a, "dir", folder, f);
	if (r.ok)
		r = factory_need(a, "name", &name, f);
	if (r.ok)
		r = factory_need(a, "register-key", &register_key, f);
	if (r.ok && (!provenance_name_valid(name) || strlen(name) >= sizeof p->name))
		r = refuse(f, REASON_BAD_FIELD, "--name: 1 to %zu bytes of UTF-8 without control characters",
			   sizeof p->name - 1);
	if (r.ok)
		r = register_point(register_key, p->register_key, f);
	if (r.ok)
		r = factory_path(*folder, "programme.json", path, f);
	if (r.ok && !access(path, F_OK))
		r = refuse(f, REASON_CONFLICT, "%s exists: a programme is begun once; give it another folder",
			   path);
	if (r.ok)
		r = factory_folder(*folder, 0700, f);
	if (r.ok)
		r = make_key(*folder, PROGRAMME_KEY_FILE, p->programme_key, f);
	if (r.ok)
		r = make_key(*folder, LINE_AUTHORITY_KEY_FILE, p->line_authority_key, f);
	if (!r.ok)
		return r;
	strcpy(p->name, name);
	crypto_random(p->id, sizeof p->id);
	return programme_save(path, p, f);
}

static int programme_init(struct ctl *c, const struct arguments *a)
{
	struct programme p = {0};
	struct fault f;
	char id[HEX_SIZE(PROGRAMME_ID_SIZE)];
	const char *folder;
	(void)c;
	if (!init(a, &folder, &p, &f).ok)
		return ctl_fail(&f);
	hex_encode(bytes_of(p.id, sizeof p.id), id);
	printf("programme %s\n", id);
	text_field("name", p.name);
	printf("  to keep offline    %s/%s: signs work orders\n"
	       "                     %s/%s: signs what is said of lines\n"
	       "  to give out        %s/programme.json: to lines, register and gateways\n",
	       folder, PROGRAMME_KEY_FILE, folder, LINE_AUTHORITY_KEY_FILE, folder);
	return EXIT_DONE;
}

static int programme_show(struct ctl *c, const struct arguments *a)
{
	struct programme p;
	struct fault f;
	char id[HEX_SIZE(PROGRAMME_ID_SIZE)], key[LINE_ID_HEX];
	uint8_t key_id[KEY_ID_SIZE];
	if (!programme_load(a->words[0], &p, &f).ok)
		return ctl_fail(&f);
	hex_encode(bytes_of(p.id, sizeof p.id), id);
	const struct {
		const char *label;
		const uint8_t *point;
	} keys[] = {{"programme_key", p.programme_key},
		    {"line_authority_key", p.line_authority_key},
		    {"register_key", p.register_key}};
	json_t *out = json_pack("{s:s,s:s}", "programme", id, "name", p.name);
	if (!c->json) {
		text_field("programme", id);
		text_field("name", p.name);
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		provenance_key_id(keys[i].point, key_id);
		line_id_hex(key_id, key);
		json_object_set_new(out, keys[i].label, json_string(key));
		if (!c->json)
			text_field(keys[i].label, key);
	}
	if (c->json) {
		json_dumpf(out, stdout, JSON_PRESERVE_ORDER);
		putchar('\n');
	}
	json_decref(out);
	return EXIT_DONE;
}

static const struct option_spec init_options[] = {
	{"dir", "DIR", "the programme's folder; made where it is missing (0700)"},
	{"name", "NAME", "what people call it, 1 to 64 bytes"},
	{"register-key", "PUB.pem", "the register's public key: what `register init` has printed"},
	{NULL, NULL, NULL},
};
static const struct option_spec no_options[] = {{NULL, NULL, NULL}};

const struct command programme_commands[] = {
	{
		.name = "programme init",
		.arguments = "--dir DIR --name NAME --register-key PUB.pem",
		.summary = "begin a programme: two keys to keep offline, one public file",
		.help = "A programme is what a chain is for: a product of one OEM. Its programme key signs "
			"work\n"
			"orders, its line authority key signs what is said of lines. Both stay offline, with "
			"two\n"
			"people who differ. The register begins first, since its public key goes into\n"
			"programme.json, from which lines and gateways know whom to believe.",
		.examples = "  mooring-factory register init --dir register\n"
			    "  mooring-factory programme init --dir programme --name 'Thermo 2026' \\\n"
			    "      --register-key register/register.pub.pem\n"
			    "  mooring-factory register open --dir register --programme "
			    "programme/programme.json\n",
		.files = "  DIR/programme.key, DIR/line-authority.key    PKCS#8, 0600\n"
			 "  DIR/programme.json                           public: id, name, three public "
			 "keys\n",
		.options = init_options,
		.run = programme_init,
		.offline = true,
	},
	{
		.name = "programme show",
		.arguments = "PROGRAMME.json",
		.summary = "a programme's id, name and the ids of its keys",
		.help = "Reads the public file.",
		.examples = "  mooring-factory programme show programme/programme.json\n",
		.options = no_options,
		.words_min = 1,
		.words_max = 1,
		.run = programme_show,
		.offline = true,
	},
	{0},
};
