#include "factory.h"

#include "cli/moment.h"
#include "common/clock.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

outcome factory_path(const char *folder, const char *name, char out[FACTORY_PATH_MAX], struct fault *f)
{
	int n = snprintf(out, FACTORY_PATH_MAX, "%s/%s", folder, name);
	return n < FACTORY_PATH_MAX ? DONE : file_fault(f, ENAMETOOLONG, "open", folder);
}

outcome factory_folder(const char *path, mode_t mode, struct fault *f)
{
	return mkdir(path, mode) && errno != EEXIST ? file_fault(f, errno, "make", path) : DONE;
}

outcome factory_each(const char *folder, factory_entry *each, void *arg, struct fault *f)
{
	char path[FACTORY_PATH_MAX];
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, versionsort);
	outcome r = DONE;
	if (n < 0)
		return file_fault(f, errno, "open", folder);
	for (int i = 0; i < n; i++) {
		if (r.ok && entries[i]->d_name[0] != '.') {
			r = factory_path(folder, entries[i]->d_name, path, f);
			if (r.ok)
				r = each(arg, path, f);
		}
		free(entries[i]);
	}
	free(entries);
	return r;
}

outcome factory_own_key(const char *path, EVP_PKEY **out, struct fault *f)
{
	if (!access(path, F_OK))
		return factory_load_key(path, out, f);
	*out = p256_key_generate();
	outcome r = *out ? key_save_private_pem(path, *out, f) : crypto_fault(f, "a new key");
	if (!r.ok) {
		EVP_PKEY_free(*out);
		*out = NULL;
	}
	return r;
}

outcome factory_load_key(const char *uri, EVP_PKEY **out, struct fault *f)
{
	*out = NULL;
	outcome r = key_load_uri(uri, out, f);
	if (r.ok && ec_key_bits(*out) != 256) {
		EVP_PKEY_free(*out);
		*out = NULL;
		return refuse(f, REASON_CRYPTO, "%s: not a P-256 key", uri);
	}
	return r;
}

outcome factory_need(const struct arguments *a, const char *name, const char **out, struct fault *f)
{
	*out = argument(a, name);
	return *out && (*out)[0] ? DONE : refuse(f, REASON_BAD_FIELD, "--%s is needed", name);
}

outcome factory_new_file(const struct arguments *a, const char **out, struct fault *f)
{
	outcome r = factory_need(a, "out", out, f);
	if (!r.ok || access(*out, F_OK))
		return r;
	return refuse(f, REASON_CONFLICT,
		      "--out %.200s exists already, and is left as it is: give another name, or move it away",
		      *out);
}

static bool take_relative(const char *text, int64_t now, int64_t *out)
{
	char *end;
	if (text[0] != '+' && text[0] != '-')
		return false;
	long n = strtol(text, &end, 10);
	int64_t unit = *end == 'd' ? 86400 : *end == 'h' ? 3600 : 0;
	if (!unit || end[1] || n < -1000000 || n > 1000000)
		return false;
	*out = now + n * unit;
	return true;
}

outcome factory_time(const char *option, const char *text, int64_t now, int64_t *out, struct fault *f)
{
	*out = now;
	if (!strcmp(text, "now") || take_relative(text, now, out) || moment_read(text, out))
		return DONE;
	return refuse(
		f, REASON_BAD_FIELD,
		"--%s: \"%.40s\" is no time: now, 2026-12-01, 2026-12-01T08:00:00Z, +12h, +30d, or Unix "
		"seconds (UTC)",
		option, text);
}

int factory_end(outcome r, const struct fault *f)
{
	return r.ok ? EXIT_DONE : ctl_fail(f);
}

void factory_progress(bool last, const char *fmt, ...)
{
	static int64_t shown;
	int64_t now = clock_monotonic_ms();
	va_list args;
	if (!isatty(STDERR_FILENO) || (!last && now - shown < 200))
		return;
	shown = now;
	fputc('\r', stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	if (last)
		fputc('\n', stderr);
}
