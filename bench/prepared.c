#include "prepared.h"

#include "common/crypto/csr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const struct fault *f)
{
	fprintf(stderr, "loadgen: %s: %s\n", what, f ? f->text : "failed");
	exit(1);
}

static uint32_t keep_key(EVP_PKEY *key, uint8_t der[KEY_ROOM])
{
	int n = key ? i2d_PrivateKey(key, NULL) : 0;
	if (n <= 0 || n > KEY_ROOM)
		die("key generation", NULL);
	return (uint32_t)i2d_PrivateKey(key, &der);
}

static void make_device(struct prepared *d, const char *batch, FILE *records)
{
	struct fault f;
	uint8_t spki[SPKI_MAX], instance[INSTANCE_ID_SIZE], digest[SHA256_SIZE],
		signature[ECDSA_SIGNATURE_MAX];
	EVP_PKEY *rot = p256_key_generate(), *key = p256_key_generate();
	d->rot_size = keep_key(rot, d->rot_der);
	d->key_size = keep_key(key, d->key_der);
	if (!evidence_instance_id(rot, instance))
		die("key generation", NULL);
	struct buf info = {0}, csr = {0};
	size_t spki_size = ec_key_to_spki(key, spki, sizeof spki);
	if (!csr_build_info("thermometer", bytes_of(spki, spki_size), &info, &f).ok)
		die("CSR", &f);
	sha256(buf_view(&info), digest);
	size_t signature_size = ecdsa_sign_digest_der(key, digest, signature, sizeof signature);
	if (!csr_build(buf_view(&info), bytes_of(signature, signature_size), &csr, &f).ok || csr.n > CSR_ROOM)
		die("CSR", &f);
	d->csr_size = (uint32_t)csr.n;
	memcpy(d->csr, csr.p, csr.n);

	char hex[INSTANCE_ID_HEX], text[BASE64_SIZE(SPKI_MAX)], implementation[HEX_SIZE(32)];
	uint8_t id[32];
	memset(id, 0x42, sizeof id);
	hex_encode(bytes_of(instance, sizeof instance), hex);
	hex_encode(bytes_of(id, sizeof id), implementation);
	base64_encode(bytes_of(spki, ec_key_to_spki(rot, spki, sizeof spki)), text);
	fprintf(records,
		"{\"instance_id\":\"%s\",\"implementation_id\":\"%s\",\"public_key\":\"%s\",\"batch\":\"%s\","
		"\"model\":\"thermo-1\",\"evidence\":[\"psa-token\"]}\n",
		hex, implementation, text, batch);
	buf_free(&info);
	buf_free(&csr);
	EVP_PKEY_free(rot);
	EVP_PKEY_free(key);
}

int prepared_make(const char *records_path, const char *keys_path, long count, const char *batch)
{
	FILE *records = fopen(records_path, "w"), *keys = fopen(keys_path, "w");
	if (!records || !keys)
		die("open", NULL);
	for (long i = 0; i < count; i++) {
		struct prepared d = {0};
		make_device(&d, batch, records);
		if (fwrite(&d, sizeof d, 1, keys) != 1)
			die("write", NULL);
	}
	return fclose(records) || fclose(keys);
}
