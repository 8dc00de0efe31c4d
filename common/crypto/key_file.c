#include "crypto.h"

#include "common/file.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

static outcome load_pem(const char *path, bool private, EVP_PKEY **out, struct fault *f)
{
	struct buf text = {0};
	outcome read = private ? file_read_secret(path, 65536, &text, f) : file_read(path, 65536, &text, f);
	if (!read.ok)
		return read;
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	*out = !bio	 ? NULL
	       : private ? PEM_read_bio_PrivateKey_ex(bio, NULL, NULL, NULL, crypto_ctx(), NULL)
			 : PEM_read_bio_PUBKEY_ex(bio, NULL, NULL, NULL, crypto_ctx(), NULL);
	BIO_free(bio);
	OPENSSL_cleanse(text.p, text.n);
	buf_free(&text);
	if (*out || private)
		return *out ? DONE : crypto_fault(f, path);
	ERR_clear_error();
	return refuse(f, REASON_CRYPTO,
		      "%s holds no public key in PEM (openssl pkey -in KEY -pubout makes one)", path);
}

outcome key_load_public_pem(const char *path, EVP_PKEY **out, struct fault *f)
{
	return load_pem(path, false, out, f);
}

outcome key_load_private_pem(const char *path, EVP_PKEY **out, struct fault *f)
{
	return load_pem(path, true, out, f);
}

/* `bio` is taken over. */
static outcome save_pem(const char *path, BIO *bio, bool written, mode_t mode, struct fault *f)
{
	char *text;
	outcome result;
	if (written) {
		long n = BIO_get_mem_data(bio, &text);
		result = file_replace(path, bytes_of(text, (size_t)n), mode, f);
	} else {
		result = crypto_fault(f, path);
	}
	BIO_free(bio);
	return result;
}

outcome key_save_private_pem(const char *path, EVP_PKEY *key, struct fault *f)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	bool written = bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
	return save_pem(path, bio, written, 0600, f);
}

outcome key_save_public_pem(const char *path, EVP_PKEY *key, struct fault *f)
{
	BIO *bio = BIO_new(BIO_s_mem());
	return save_pem(path, bio, bio && PEM_write_bio_PUBKEY(bio, key) == 1, 0644, f);
}
