/* A request as lines: method, path, query, headers "name:value" until an empty line, body. Whatever parses
 * and is signed again by our signer must verify. */
#include "common/admin/sigv4.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *next_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');
	if (end)
		*end = '\0';
	*text = end ? end + 1 : line + strlen(line);
	return line;
}

static void check_own_signature(struct sigv4_request *r, const struct sigv4_header *host_and_date)
{
	static const char secret[] = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
	struct sigv4_header headers[3] = {host_and_date[0], host_and_date[1], {"Authorization", NULL}};
	struct sigv4_claim claim;
	struct buf out = {0};
	r->headers = headers;
	r->header_count = 2;
	if (!sigv4_sign(r, "AKIDEXAMPLE", secret, "mooring-1", "mooring", &out, NULL).ok)
		abort();
	headers[2].value = buf_take_str(&out);
	r->header_count = 3;
	if (!sigv4_claim_parse(r, &claim, NULL).ok || !sigv4_verify(r, &claim, secret, claim.time, NULL).ok)
		abort();
	free((void *)(uintptr_t)headers[2].value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sigv4_header own[] = {{"host", "a:1"}, {"x-amz-date", "20261122T113253Z"}};
	struct sigv4_header headers[SIGV4_HEADERS_MAX + 1];
	struct sigv4_request r = {.headers = headers};
	struct sigv4_claim claim;
	struct fault f;
	char *text = malloc(size + 1), *at = text;
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	r.method = next_line(&at);
	r.raw_path = next_line(&at);
	r.raw_query = next_line(&at);
	while (*at && *at != '\n' && r.header_count < SIGV4_HEADERS_MAX + 1) {
		char *line = next_line(&at), *colon = strchr(line, ':');
		if (colon)
			*colon = '\0';
		headers[r.header_count++] = (struct sigv4_header){line, colon ? colon + 1 : ""};
	}
	r.body = bytes_str(at);
	if (sigv4_claim_parse(&r, &claim, &f).ok && sigv4_verify(&r, &claim, "secret", claim.time, &f).ok)
		abort();
	check_own_signature(&r, own);
	free(text);
	return 0;
}
