#include "device_list.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static outcome add(struct device_list *l, const char *path, struct fault *f)
{
	char **more = realloc(l->paths, (l->count + 1) * sizeof *more);
	if (more)
		l->paths = more;
	if (more && (l->paths[l->count] = strdup(path))) {
		l->count++;
		return DONE;
	}
	return refuse(f, REASON_NO_MEMORY, "no memory for a list of devices");
}

static outcome add_if_device(void *list, const char *path, struct fault *f)
{
	char secure[FACTORY_PATH_MAX];
	outcome r = factory_path(path, "secure", secure, f);
	return r.ok && !access(secure, F_OK) ? add(list, path, f) : r;
}

outcome device_list_make(const struct arguments *a, const char *name, struct device_list *out,
			 struct fault *f)
{
	const char *all = argument(a, "all"), *path;
	size_t at = 0;
	outcome r = DONE;
	*out = (struct device_list){0};
	while (r.ok && name && (path = argument_next(a, name, &at)))
		r = add(out, path, f);
	for (size_t i = 0; r.ok && !name && i < a->word_count; i++)
		r = add(out, a->words[i], f);
	if (r.ok && all)
		r = factory_each(all, add_if_device, out, f);
	if (r.ok && !out->count)
		r = all ? refuse(f, REASON_BAD_FIELD, "there is no device in %s", all)
			: refuse(f, REASON_BAD_FIELD, "%s%s DIR or --all FOLDER is needed", name ? "--" : "",
				 name ? name : "DEVICE");
	if (!r.ok)
		device_list_free(out);
	return r;
}

void device_list_free(struct device_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->paths[i]);
	free(l->paths);
	*l = (struct device_list){0};
}
