#include "http.h"

static void answer_pem(struct scgi_request *r, const struct buf *pem)
{
	scgi_answer(r, 200, "application/pem-certificate-chain", buf_view(pem));
}

void http_root(struct gateway *g, struct scgi_request *r)
{
	answer_pem(r, &g->keys.root_pem);
}

void http_chain(struct gateway *g, struct scgi_request *r)
{
	answer_pem(r, &g->keys.chain_pems[0]);
}
