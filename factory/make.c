#include "make.h"

#include "common/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 4096, RECORD_ROOM = 1024, NAME_MAX_LENGTH = 64 };

struct making {
	const struct make_request *request;
	FILE *records;
	char implementation_id[HEX_SIZE(SHA256_SIZE)];
	char software_signer[HEX_SIZE(SHA256_SIZE)];
};

/* What a product's boards and its software have in common: named by the model, since there is no other board
 * here. */
static void hex_of(const char *label, const char *model, char out[HEX_SIZE(SHA256_SIZE)])
{
	const struct bytes parts[] = {bytes_of(label, strlen(label) + 1), bytes_str(model)};
	uint8_t hash[SHA256_SIZE];
	sha256_parts(parts, 2, hash);
	hex_encode(bytes_of(hash, sizeof hash), out);
}

static outcome make_folder(const char *path, mode_t mode, struct fault *f)
{
	return mkdir(path, mode) && errno != EEXIST ? file_fault(f, errno, "make", path) : DONE;
}

static outcome get_key(const struct make_request *request, EVP_PKEY **out, struct fault *f)
{
	if (!request->rot_key_file) {
		*out = p256_key_generate();
		return *out ? DONE : crypto_fault(f, "a RoT key");
	}
	outcome r = key_load_private_pem(request->rot_key_file, out, f);
	if (r.ok && ec_key_bits(*out) != 256) {
		EVP_PKEY_free(*out);
		return refuse(f, REASON_CRYPTO, "%s: not a P-256 key", request->rot_key_file);
	}
	return r;
}

static outcome inject(const struct making *m, uint64_t n, EVP_PKEY *key, const char *instance_id,
		      struct fault *f)
{
	char device[PATH_ROOM - 64], secure[PATH_ROOM - 32], path[PATH_ROOM];
	struct buf identity = {0};
	snprintf(device, sizeof device, "%s/%llu", m->request->folder, (unsigned long long)n);
	snprintf(secure, sizeof secure, "%s/secure", device);
	outcome r = make_folder(device, 0755, f);
	if (r.ok)
		r = make_folder(secure, 0700, f);
	snprintf(path, sizeof path, "%s/rot.key", secure);
	if (r.ok)
		r = key_save_private_pem(path, key, f);
	buf_printf(&identity,
		   "{\"instance_id\":\"%s\",\"implementation_id\":\"%s\",\"software_signer\":\"%s\","
		   "\"batch\":\"%s\","
		   "\"model\":\"%s\"}\n",
		   instance_id, m->implementation_id, m->software_signer, m->request->batch,
		   m->request->model);
	snprintf(path, sizeof path, "%s/identity.json", secure);
	if (r.ok)
		r = identity.failed ? refuse(f, REASON_NO_MEMORY, "no memory for an identity")
				    : file_replace(path, buf_view(&identity), 0600, f);
	buf_free(&identity);
	return r;
}

static outcome write_record(const struct making *m, EVP_PKEY *key, const char *instance_id, struct fault *f)
{
	const struct make_request *o = m->request;
	uint8_t spki[SPKI_MAX];
	char public_key[BASE64_SIZE(SPKI_MAX)];
	size_t n = ec_key_to_spki(key, spki, sizeof spki);
	if (!n)
		return crypto_fault(f, "a RoT public key");
	base64_encode(bytes_of(spki, n), public_key);
	int written = fprintf(
		m->records,
		"{\"instance_id\":\"%s\",\"implementation_id\":\"%s\",\"public_key\":\"%s\",\"batch\":\"%s\","
		"\"model\":\"%s\",\"evidence\":[%s%s%s]}\n",
		instance_id, m->implementation_id, public_key, o->batch, o->model,
		o->psa_token ? "\"psa-token\"" : "", o->psa_token && o->cose_csr ? "," : "",
		o->cose_csr ? "\"cose-csr\"" : "");
	return written < 0 ? file_fault(f, errno, "write", "records.ndjson") : DONE;
}

static outcome make_one(const struct making *m, uint64_t n, struct fault *f)
{
	uint8_t instance_id[INSTANCE_ID_SIZE];
	char hex[INSTANCE_ID_HEX];
	EVP_PKEY *key;
	outcome r = get_key(m->request, &key, f);
	if (!r.ok)
		return r;
	if (evidence_instance_id(key, instance_id))
		hex_encode(bytes_of(instance_id, sizeof instance_id), hex);
	else
		r = crypto_fault(f, "an instance ID");
	if (r.ok && !m->request->records_only)
		r = inject(m, n, key, hex, f);
	if (r.ok)
		r = write_record(m, key, hex, f);
	EVP_PKEY_free(key);
	return r;
}

static bool is_plain(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= NAME_MAX_LENGTH &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static outcome check_request(const struct make_request *o, struct fault *f)
{
	if (!is_plain(o->batch) || !is_plain(o->model))
		return refuse(f, REASON_BAD_FIELD, "batch and model are 1 to %d of A-Z a-z 0-9 . _ -",
			      NAME_MAX_LENGTH);
	if (o->rot_key_file && o->count != 1)
		return refuse(f, REASON_BAD_FIELD, "a given RoT key is for one device: --count 1");
	if (!o->psa_token && !o->cose_csr)
		return refuse(f, REASON_EVIDENCE_TYPE, "a device gives one kind of evidence at least");
	return DONE;
}

static outcome open_records(struct making *m, const char *part, const char *path, struct fault *f)
{
	outcome r = make_folder(m->request->folder, 0755, f);
	if (!r.ok)
		return r;
	if (!access(path, F_OK))
		return refuse(f, REASON_CONFLICT, "%s exists: a batch is made once; give it another folder",
			      path);
	m->records = fopen(part, "we");
	return m->records ? DONE : file_fault(f, errno, "create", part);
}

static outcome close_records(struct making *m, outcome r, const char *part, const char *path, struct fault *f)
{
	if (r.ok && (fflush(m->records) || fsync(fileno(m->records))))
		r = file_fault(f, errno, "write", part);
	if (fclose(m->records) && r.ok)
		r = file_fault(f, errno, "write", part);
	if (r.ok && rename(part, path))
		r = file_fault(f, errno, "rename to", path);
	return r;
}

outcome make_devices(const struct make_request *request, struct fault *f)
{
	struct making m = {.request = request};
	char path[PATH_ROOM], part[PATH_ROOM + 8];
	outcome r = check_request(request, f);
	if (r.ok && strlen(request->folder) > PATH_ROOM / 2)
		r = file_fault(f, ENAMETOOLONG, "make", request->folder);
	if (!r.ok)
		return r;
	snprintf(path, sizeof path, "%s/records.ndjson", request->folder);
	snprintf(part, sizeof part, "%s.part", path);
	hex_of("mooring-implementation/1", request->model, m.implementation_id);
	hex_of("mooring-software-signer/1", request->model, m.software_signer);
	r = open_records(&m, part, path, f);
	if (!r.ok)
		return r;
	for (uint64_t n = 1; r.ok && n <= request->count; n++) {
		r = make_one(&m, n, f);
		if (r.ok && request->progress)
			request->progress(n, request->count);
	}
	return close_records(&m, r, part, path, f);
}
