#include "register_proofs.h"

#include "common/file.h"
#include "objects.h"

#include <stdio.h>
#include <unistd.h>

static outcome keep(const char *folder, const char *name, struct bytes statement, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	outcome r = factory_path(folder, name, path, f);
	return r.ok && access(path, F_OK) ? file_replace(path, statement, 0644, f) : r;
}

outcome register_proofs_keep(const char *folder, const struct stage_statement *second,
			     struct bytes first_bytes, struct bytes second_bytes, struct fault *f)
{
	char proofs[FACTORY_PATH_MAX], path[FACTORY_PATH_MAX], line[LINE_ID_HEX],
		name[LINE_ID_HEX + BATCH_SIZE + 32];
	line_id_hex(second->object.key_id, line);
	snprintf(name, sizeof name, "%s-%s-%lld-%lld", line, second->batch, (long long)second->stage,
		 (long long)second->seq);
	outcome r = factory_path(folder, "proofs", proofs, f);
	if (r.ok)
		r = factory_folder(proofs, 0755, f);
	if (r.ok)
		r = factory_path(proofs, name, path, f);
	if (r.ok)
		r = factory_folder(path, 0755, f);
	if (r.ok)
		r = keep(path, "1.cose", first_bytes, f);
	return r.ok ? keep(path, "2.cose", second_bytes, f) : r;
}
