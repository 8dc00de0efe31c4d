#include "confine.h"

#include "sandbox.h"

#include <stdlib.h>
#include <string.h>

/* The folder that a file is in; caller frees. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

outcome gateway_confine(const struct gateway_config *c, bool insecure, struct fault *f)
{
	/* libcurl's files are read by each worker; the admin secret may be made later, hence its folder. */
	char *socket_folder = folder_of(c->edge.socket), *master_folder = folder_of(c->edge.admin_master);
	const char *const read_only[] = {c->attestation_ca, c->attestation_cert, c->attestation_key,
					 master_folder,	    "/proc/self",	 NULL};
	const char *const read_write[] = {c->state_dir, socket_folder, NULL};
	const struct sandbox sandbox = {
		.uid = (uid_t)c->process.run_as_uid,
		.gid = (gid_t)c->process.run_as_gid,
		.read_only = read_only,
		.read_write = read_write,
		.network = true,
		.non_dumpable = true,
		.insecure = insecure,
	};
	outcome r = socket_folder && master_folder ? sandbox_enter(&sandbox, f)
						   : refuse(f, REASON_NO_MEMORY, "no memory for paths");
	free(socket_folder);
	free(master_folder);
	return r;
}
