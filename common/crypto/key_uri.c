#include "crypto.h"

#include "common/file.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <string.h>
#include <sys/stat.h>

/* The path behind a file: URI or a plain path; NULL for any other scheme. */
static const char *file_path(const char *uri)
{
	if (!strncmp(uri, "file://", 7))
		return strchr(uri + 7, '/');
	if (!strncmp(uri, "file:", 5))
		return uri + 5;
	return strchr(uri, ':') && uri[0] != '/' && uri[0] != '.' ? NULL : uri;
}

static outcome check_mode(const char *path, struct fault *f)
{
	struct stat st;
	if (stat(path, &st))
		return file_fault(f, errno, "open", path);
	if (st.st_mode & (S_IRWXG | S_IRWXO))
		return refuse(f, REASON_IO,
			      "%s holds a private key but its mode is %04o: others can read it; chmod 600 it",
			      path, (unsigned)(st.st_mode & 07777));
	return DONE;
}

/* A provider of the scheme's name where the scheme needs one; kept for the life of the process. */
static outcome load_provider(const char *uri, struct fault *f)
{
	char name[32];
	size_t n = strcspn(uri, ":");
	if (n >= sizeof name)
		return refuse(f, REASON_CONFIG, "%.60s: not a key URI", uri);
	memcpy(name, uri, n);
	name[n] = '\0';
	if (!OSSL_PROVIDER_try_load(crypto_ctx(), name, 1)) {
		ERR_clear_error();
		return refuse(f, REASON_CONFIG,
			      "keys under %s: need OpenSSL's provider \"%s\" (Debian 13: apt install "
			      "pkcs11-provider)",
			      name, name);
	}
	return DONE;
}

static EVP_PKEY *key_in_store(const char *uri)
{
	EVP_PKEY *key = NULL;
	OSSL_STORE_CTX *store =
		OSSL_STORE_open_ex(uri, crypto_ctx(), NULL, UI_null(), NULL, NULL, NULL, NULL);
	if (store && OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY) == 1)
		while (!key && !OSSL_STORE_eof(store)) {
			OSSL_STORE_INFO *info = OSSL_STORE_load(store);
			if (!info && OSSL_STORE_error(store))
				break;
			key = info ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;
			OSSL_STORE_INFO_free(info);
		}
	OSSL_STORE_close(store);
	return key;
}

outcome key_load_uri(const char *uri, EVP_PKEY **out, struct fault *f)
{
	const char *path = file_path(uri);
	outcome o = path ? check_mode(path, f) : load_provider(uri, f);
	if (!o.ok)
		return o;
	*out = key_in_store(path ? path : uri);
	if (!*out)
		return crypto_fault(f, uri);
	ERR_clear_error();
	return DONE;
}
