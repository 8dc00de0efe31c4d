#include "sigv4_internal.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static outcome sign(const struct sigv4_request *r, const struct sigv4_claim *claim, const char *date_time,
		    const char *secret, uint8_t out[SHA256_SIZE], struct fault *f)
{
	struct buf canonical = {0}, to_sign = {0}, key = {0};
	uint8_t hash[SHA256_SIZE], k[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	outcome result = sigv4_canonical_request(r, claim->signed_headers, &canonical, f);
	if (!result.ok)
		goto out;
	sha256(buf_view(&canonical), hash);
	hex_encode(bytes_of(hash, sizeof hash), hex);
	buf_printf(&to_sign, SIGV4_ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", date_time, claim->scope_date,
		   claim->region, claim->service, hex);
	buf_printf(&key, "AWS4%s", secret);
	if (to_sign.failed || key.failed) {
		result = refuse(f, REASON_NO_MEMORY, "no memory for the signature");
		goto out;
	}
	hmac_sha256(buf_view(&key), bytes_str(claim->scope_date), k);
	hmac_sha256(bytes_of(k, sizeof k), bytes_str(claim->region), k);
	hmac_sha256(bytes_of(k, sizeof k), bytes_str(claim->service), k);
	hmac_sha256(bytes_of(k, sizeof k), bytes_str("aws4_request"), k);
	hmac_sha256(bytes_of(k, sizeof k), buf_view(&to_sign), out);
out:
	if (key.p)
		OPENSSL_cleanse(key.p, key.n);
	OPENSSL_cleanse(k, sizeof k);
	buf_free(&canonical);
	buf_free(&to_sign);
	buf_free(&key);
	return result;
}

/* boto3 sends none; where it is sent it is signed, and must be the hash of the body that came. */
static outcome check_payload_hash(const struct sigv4_request *r, struct fault *f)
{
	const char *claimed = sigv4_header_value(r, "x-amz-content-sha256");
	uint8_t hash[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	if (!claimed)
		return DONE;
	sha256(r->body, hash);
	hex_encode(bytes_of(hash, sizeof hash), hex);
	if (!bytes_equal_ct(bytes_str(claimed), bytes_str(hex)))
		return refuse(f, REASON_SIGV4_MISMATCH,
			      "SigV4: x-amz-content-sha256 is not the hash of the body");
	return DONE;
}

outcome sigv4_verify(const struct sigv4_request *r, const struct sigv4_claim *claim, const char *secret,
		     int64_t now, struct fault *f)
{
	uint8_t expected[SHA256_SIZE];
	if (claim->time < now - SIGV4_WINDOW_S || claim->time > now + SIGV4_WINDOW_S)
		return refuse(f, REASON_SIGV4_SKEW, "SigV4: signed %lld s from this clock, 300 are allowed",
			      (long long)(claim->time - now));
	outcome result = check_payload_hash(r, f);
	if (result.ok)
		result = sign(r, claim, sigv4_header_value(r, "x-amz-date"), secret, expected, f);
	if (!result.ok)
		return result;
	if (!bytes_equal_ct(bytes_of(expected, sizeof expected), bytes_of(claim->signature, SHA256_SIZE)))
		return refuse(f, REASON_SIGV4_MISMATCH, "SigV4: the signature does not verify for key %s",
			      claim->key_id);
	return DONE;
}

static int compare_names(const void *a, const void *b)
{
	return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every header of the request but Authorization itself, lower-case, sorted, each once. */
static outcome list_headers(const struct sigv4_request *r, char *out, size_t room, struct fault *f)
{
	const char *names[SIGV4_HEADERS_MAX];
	size_t n = 0, used = 0;
	if (r->header_count > SIGV4_HEADERS_MAX)
		return sigv4_malformed(f, "more than 64 headers");
	for (size_t i = 0; i < r->header_count; i++)
		if (strcasecmp(r->headers[i].name, "authorization"))
			names[n++] = r->headers[i].name;
	qsort(names, n, sizeof *names, compare_names);
	for (size_t i = 0; i < n; i++) {
		if (i && !strcasecmp(names[i], names[i - 1]))
			continue;
		if (used + strlen(names[i]) + 2 > room)
			return sigv4_malformed(f, "the names of the headers are too long together");
		if (used)
			out[used++] = ';';
		for (const char *c = names[i]; *c; c++)
			out[used++] = (char)tolower((unsigned char)*c);
	}
	out[used] = '\0';
	return DONE;
}

outcome sigv4_sign(const struct sigv4_request *r, const char *key_id, const char *secret, const char *region,
		   const char *service, struct buf *authorization, struct fault *f)
{
	struct sigv4_claim claim = {0};
	uint8_t signature[SHA256_SIZE];
	char hex[HEX_SIZE(SHA256_SIZE)];
	const char *date = sigv4_header_value(r, "x-amz-date");
	if (!date || !sigv4_parse_date_time(date, &claim.time))
		return sigv4_malformed(f, "x-amz-date is not YYYYMMDDThhmmssZ");
	if (strlen(region) >= sizeof claim.region || strlen(service) >= sizeof claim.service)
		return sigv4_malformed(f, "region or service is too long");
	memcpy(claim.scope_date, date, 8);
	strcpy(claim.region, region);
	strcpy(claim.service, service);
	outcome result = list_headers(r, claim.signed_headers, sizeof claim.signed_headers, f);
	if (result.ok)
		result = sigv4_check_coverage(r, claim.signed_headers, f);
	if (result.ok)
		result = sign(r, &claim, date, secret, signature, f);
	if (!result.ok)
		return result;
	hex_encode(bytes_of(signature, sizeof signature), hex);
	buf_printf(authorization,
		   SIGV4_ALGORITHM " Credential=%s/%s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		   key_id, claim.scope_date, region, service, claim.signed_headers, hex);
	return authorization->failed ? refuse(f, REASON_NO_MEMORY, "no memory for the signature") : DONE;
}

void sigv4_derive_secret(struct bytes master, const char *key_id, char out[SECRET_SIZE])
{
	uint8_t mac[SHA256_SIZE];
	char input[sizeof "mooring-admin/1" + ACCESS_KEY_ID_MAX];
	snprintf(input, sizeof input, "mooring-admin/1%s", key_id);
	hmac_sha256(master, bytes_str(input), mac);
	base64_encode(bytes_of(mac, 30), out);
	OPENSSL_cleanse(mac, sizeof mac);
}
