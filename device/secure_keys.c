#include "secure_keys.h"

#include "common/file.h"
#include "common/log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of "device-<id>.key"; 0 for other names. */
static uint32_t id_of_name(const char *name)
{
	static const char prefix[] = "device-";
	if (strncmp(name, prefix, sizeof prefix - 1) || !isdigit((unsigned char)name[sizeof prefix - 1]))
		return 0;
	char *end;
	unsigned long id = strtoul(name + sizeof prefix - 1, &end, 10);
	return id <= PSA_KEY_ID_MAX && !strcmp(end, ".key") ? (uint32_t)id : 0;
}

static void path_of(const struct secure_keys *keys, uint32_t id, char out[4096])
{
	snprintf(out, 4096, "%s/device-%" PRIu32 ".key", keys->folder, id);
}

static outcome load_slot(struct secure_keys *keys, uint32_t id, struct fault *f)
{
	char path[4096];
	size_t i = 0;
	while (i < SECURE_KEYS_MAX && keys->slots[i].id)
		i++;
	path_of(keys, id, path);
	if (i == SECURE_KEYS_MAX)
		return refuse(f, REASON_CONFIG, "%s: more than %d device keys", path, SECURE_KEYS_MAX);
	outcome loaded = key_load_private_pem(path, &keys->slots[i].key, f);
	if (!loaded.ok)
		return loaded;
	keys->slots[i].id = id;
	return ec_key_bits(keys->slots[i].key) == 256 ? DONE
						      : refuse(f, REASON_CRYPTO, "%s: not a P-256 key", path);
}

outcome secure_keys_open(struct secure_keys *keys, const char *folder, struct fault *f)
{
	*keys = (struct secure_keys){0};
	if ((size_t)snprintf(keys->folder, sizeof keys->folder, "%s", folder) >= sizeof keys->folder)
		return refuse(f, REASON_CONFIG, "%s: the path is too long", folder);
	/* A key that was being written when the power failed was never named, and so never used. */
	outcome result = file_sweep(folder, "device-*.key.??????", f);
	if (!result.ok)
		return result;
	DIR *entries = opendir(folder);
	if (!entries)
		return file_fault(f, errno, "open", folder);
	for (const struct dirent *e; result.ok && (e = readdir(entries));) {
		uint32_t id = id_of_name(e->d_name);
		if (id)
			result = load_slot(keys, id, f);
	}
	closedir(entries);
	if (!result.ok)
		secure_keys_close(keys);
	return result;
}

void secure_keys_close(struct secure_keys *keys)
{
	for (size_t i = 0; i < SECURE_KEYS_MAX; i++)
		EVP_PKEY_free(keys->slots[i].key);
	*keys = (struct secure_keys){0};
}

static enum psa_status storage_status(const struct fault *f)
{
	log_fault(LOG_LEVEL_ERROR, NULL, f, "secure storage failed");
	return f->reason == REASON_DISK_FULL ? PSA_ERROR_INSUFFICIENT_STORAGE : PSA_ERROR_STORAGE_FAILURE;
}

enum psa_status secure_keys_generate(struct secure_keys *keys, uint32_t id)
{
	char path[4096];
	struct fault f;
	size_t i = 0;
	if (secure_keys_find(keys, id))
		return PSA_ERROR_ALREADY_EXISTS;
	while (i < SECURE_KEYS_MAX && keys->slots[i].id)
		i++;
	if (i == SECURE_KEYS_MAX)
		return PSA_ERROR_INSUFFICIENT_STORAGE;
	EVP_PKEY *key = p256_key_generate();
	if (!key)
		return PSA_ERROR_GENERIC_ERROR;
	path_of(keys, id, path);
	if (!key_save_private_pem(path, key, &f).ok) {
		EVP_PKEY_free(key);
		return storage_status(&f);
	}
	keys->slots[i].id = id;
	keys->slots[i].key = key;
	return PSA_SUCCESS;
}

enum psa_status secure_keys_destroy(struct secure_keys *keys, uint32_t id)
{
	char path[4096];
	struct fault f;
	for (size_t i = 0; i < SECURE_KEYS_MAX; i++) {
		if (!id || keys->slots[i].id != id)
			continue;
		path_of(keys, id, path);
		if (!file_remove(path, &f).ok)
			return storage_status(&f);
		EVP_PKEY_free(keys->slots[i].key);
		keys->slots[i].key = NULL;
		keys->slots[i].id = 0;
		return PSA_SUCCESS;
	}
	return PSA_ERROR_INVALID_HANDLE;
}

EVP_PKEY *secure_keys_find(const struct secure_keys *keys, uint32_t id)
{
	for (size_t i = 0; i < SECURE_KEYS_MAX; i++)
		if (id && keys->slots[i].id == id)
			return keys->slots[i].key;
	return NULL;
}

bool secure_keys_hold(const struct secure_keys *keys, struct bytes spki)
{
	uint8_t own[SPKI_MAX];
	for (size_t i = 0; i < SECURE_KEYS_MAX; i++)
		if (keys->slots[i].id &&
		    bytes_equal(spki, bytes_of(own, ec_key_to_spki(keys->slots[i].key, own, sizeof own))))
			return true;
	return false;
}
