#include "httpc_call.h"

#include <openssl/x509_vfy.h>
#include <stdlib.h>

struct httpc_sync {
	struct httpc_pins pins;
	CURL *easy; /* keeps its connection from call to call */
	struct httpc_transfer last;
	enum httpc_failure failure;
};

outcome httpc_sync_new(const struct httpc_tls *tls, struct httpc_sync **out, struct fault *f)
{
	httpc_global();
	struct httpc_sync *c = calloc(1, sizeof *c);
	*out = NULL;
	if (!c || !(c->easy = curl_easy_init())) {
		free(c);
		return refuse(f, REASON_NO_MEMORY, "no memory for the client");
	}
	outcome r = httpc_pins_load(&c->pins, tls, f);
	if (r.ok)
		*out = c;
	else
		httpc_sync_free(c);
	return r;
}

/* libcurl has one code for all that is wrong with a certificate; OpenSSL's own tells more. The host's name libcurl
 * compares itself, before it asks for that: it leaves "unspecified" there. */
static enum httpc_failure verification(CURL *easy)
{
	long result = X509_V_ERR_UNSPECIFIED;
	curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
	if (result == X509_V_OK || result == X509_V_ERR_UNSPECIFIED)
		return HTTPC_WRONG_HOST;
	return result == X509_V_ERR_CERT_HAS_EXPIRED || result == X509_V_ERR_CERT_NOT_YET_VALID
		       ? HTTPC_WRONG_TIME
		       : HTTPC_UNTRUSTED;
}

static enum httpc_failure failure_of(CURL *easy, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return HTTPC_ANSWERED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return HTTPC_NO_ADDRESS;
	case CURLE_COULDNT_CONNECT:
		return HTTPC_NOT_THERE;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
		return HTTPC_NO_TLS;
	case CURLE_SSL_CACERT_BADFILE:
		return HTTPC_BAD_CA_FILE;
	case CURLE_PEER_FAILED_VERIFICATION:
		return verification(easy);
	case CURLE_OPERATION_TIMEDOUT:
		return HTTPC_SLOW;
	default:
		return HTTPC_FAILED;
	}
}

outcome httpc_sync_call(struct httpc_sync *c, const struct httpc_call *call, struct httpc_answer *answer,
			struct fault *f)
{
	httpc_transfer_free(&c->last);
	*answer = (struct httpc_answer){.content_type = "", .location = "", .retry_after_s = -1};
	outcome r = httpc_transfer_begin(&c->last, c->easy, &c->pins, call, f);
	if (!r.ok)
		return r;
	CURLcode code = curl_easy_perform(c->easy);
	c->failure = failure_of(c->easy, code);
	return httpc_transfer_result(&c->last, code, answer, f);
}

enum httpc_failure httpc_sync_failure(const struct httpc_sync *c)
{
	return c->failure;
}

void httpc_sync_free(struct httpc_sync *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->easy);
	httpc_transfer_free(&c->last);
	httpc_pins_free(&c->pins);
	free(c);
}
