#include "edge.h"

#include <stdlib.h>

outcome edge_serve(const struct config_edge *c, const struct scgi_options *options, scgi_handler *handler,
		   void *arg, struct scgi_server **out, struct fault *f)
{
	struct scgi_options all = *options;
	uid_t *peers = config_uids(&c->peer_uids);
	if (c->peer_uids.count && !peers)
		return refuse(f, REASON_NO_MEMORY, "no memory to start");
	all.socket_path = c->socket;
	all.peer_uids = peers;
	all.peer_count = c->peer_uids.count;
	all.workers = config_workers(c);
	outcome r = scgi_start(&all, handler, arg, out, f);
	free(peers);
	return r;
}

void edge_answer_alive(struct scgi_request *r)
{
	scgi_answer(r, 200, "application/json", bytes_str("{\"alive\":true}\n"));
}
