#include "confine.h"

#include "common/file.h"
#include "common/sandbox/sandbox.h"

outcome gateway_confine(const struct gateway_config *c, bool insecure, struct fault *f)
{
	/* libcurl's files are read by each worker; the admin secret may be made later, hence its folder. */
	char socket_folder[PATH_MAX], master_folder[PATH_MAX];
	file_folder_of(c->edge.socket, socket_folder);
	file_folder_of(c->edge.admin_master, master_folder);
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
	return sandbox_enter(&sandbox, f);
}
