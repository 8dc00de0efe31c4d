#include "programme.h"

#include <string.h>

outcome programme_open(const struct arguments *a, const char *key_file, struct programme *out, EVP_PKEY **key,
		       struct fault *f)
{
	const char *folder;
	char path[FACTORY_PATH_MAX];
	uint8_t point[P256_POINT_SIZE];
	*key = NULL;
	outcome r = factory_need(a, "programme", &folder, f);
	if (r.ok)
		r = factory_path(folder, "programme.json", path, f);
	if (r.ok)
		r = programme_load(path, out, f);
	if (r.ok)
		r = factory_path(folder, key_file, path, f);
	if (r.ok)
		r = factory_load_key(path, key, f);
	if (!r.ok)
		return r;
	const uint8_t *named =
		strcmp(key_file, PROGRAMME_KEY_FILE) ? out->line_authority_key : out->programme_key;
	if (provenance_point(*key, point) && !memcmp(point, named, sizeof point))
		return DONE;
	EVP_PKEY_free(*key);
	*key = NULL;
	return refuse(f, REASON_CONFIG, "%s is not the key that programme.json names", path);
}
