#include "plugin/config_scan.h"

#include "common/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONFIG_FILE_MAX = 1 << 20, COMMAND_LINE_MAX = 1 << 20, INCLUDE_DEPTH_MAX = 4 };

/* `value` NULL: whatever its value. What was tried for each is in the sentence. */
static const struct {
	const char *key;
	const char *value;
	const char *why;
} forbidden[] = {
	{"use_identity_as_username", "true",
	 "the broker then admits by the certificate's name and asks no plugin"},
	{"use_subject_as_username", "true",
	 "the broker then admits by the certificate's subject and asks no plugin"},
	{"allow_anonymous", "true", "only registered certificates are admitted"},
	{"per_listener_settings", "true",
	 "Mosquitto before 2.0.15 then gives the plugin no time to cut a session"},
	{"password_file", NULL, "a password would admit without a registered certificate"},
	{"acl_file", NULL, "it would allow topics before the policy is asked"},
	{"psk_file", NULL, "a pre-shared key would take the place of a certificate"},
	{"listener_allow_anonymous", "true", "only registered certificates are admitted"},
	{"plugin_use", NULL, "a listener without it would ask no plugin; \"plugin\" serves all of them"},
	{"auth_plugin", NULL, "another plugin could admit before this one is asked"},
	{"protocol", "websockets", "a revoked session behind a websocket is not cut in time"},
};

struct scan {
	const char *path;
	int line;
	int plugins;
	int depth;
};

static outcome scan_file(const char *path, struct scan *above, struct fault *f);

static int is_conf(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return n > 5 && !strcmp(e->d_name + n - 5, ".conf");
}

static outcome scan_folder(const char *folder, struct scan *s, struct fault *f)
{
	struct dirent **list = NULL;
	outcome o = DONE;
	int n = scandir(folder, &list, is_conf, alphasort);
	if (n < 0)
		return refuse(f, REASON_CONFIG, "%s line %d: include_dir %s cannot be read", s->path, s->line,
			      folder);
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		if (o.ok &&
		    (size_t)snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name) < sizeof path)
			o = scan_file(path, s, f);
		free(list[i]);
	}
	free(list);
	return o;
}

static bool is_word(const char *value, const char *word)
{
	size_t n = strlen(word);
	return !strncasecmp(value, word, n) && strchr(" \t", value[n]);
}

/* The broker takes "1" for "true", and of such a value the first word alone. */
static bool is_value(const char *value, const char *wanted)
{
	return !wanted || is_word(value, wanted) || (!strcmp(wanted, "true") && is_word(value, "1"));
}

static bool loads_plugin(const char *key)
{
	return !strcmp(key, "plugin") || !strcmp(key, "global_plugin") || !strcmp(key, "plugin_load");
}

static outcome check_option(const char *key, const char *value, struct scan *s, struct fault *f)
{
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
		if (!strcmp(key, forbidden[i].key) && is_value(value, forbidden[i].value))
			return refuse(f, REASON_CONFIG, "%s line %d: \"%s %s\" goes round the plugin: %s",
				      s->path, s->line, key, forbidden[i].value ? value : "...",
				      forbidden[i].why);
	if (loads_plugin(key) && ++s->plugins > 1)
		return refuse(f, REASON_CONFIG,
			      "%s line %d: a second plugin could admit before this one is asked", s->path,
			      s->line);
	if (!strcmp(key, "include_dir"))
		return scan_folder(value, s, f);
	return DONE;
}

/* "key value", as the broker reads it: blanks between, the value to the end of the line without trailing
 * blanks. */
static outcome scan_line(char *line, struct scan *s, struct fault *f)
{
	char *key = line + strspn(line, " \t");
	if (*key == '#' || *key == '\0')
		return DONE;
	char *value = key + strcspn(key, " \t");
	if (*value)
		*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t n = strlen(value); n && strchr(" \t\r", value[n - 1]);)
		value[--n] = '\0';
	return check_option(key, value, s, f);
}

static outcome scan_file(const char *path, struct scan *above, struct fault *f)
{
	struct buf text = {0};
	struct scan s = {.path = path, .plugins = above->plugins, .depth = above->depth + 1};
	if (s.depth > INCLUDE_DEPTH_MAX)
		return refuse(f, REASON_CONFIG, "%s: include_dir is nested too deeply", path);
	struct fault why = {0};
	outcome o = file_read(path, CONFIG_FILE_MAX, &text, &why);
	if (!o.ok)
		return refuse(f, REASON_CONFIG,
			      "%s cannot be read, and whether it goes round the plugin must be known: %s",
			      path, why.text);
	char *rest = (char *)text.p;
	for (char *line; o.ok && (line = strsep(&rest, "\n"));) {
		s.line++;
		o = scan_line(line, &s, f);
	}
	above->plugins = s.plugins;
	buf_free(&text);
	return o;
}

outcome config_scan(const char *path, struct fault *f)
{
	struct scan top = {0};
	return scan_file(path, &top, f);
}

/* The broker reads one after the other where it is given several. */
static outcome scan_named(struct bytes command_line, int *count, struct fault *f)
{
	struct scan top = {0};
	const char *before = "", *end = (const char *)command_line.p + command_line.n;
	outcome o = DONE;
	for (const char *word = (const char *)command_line.p; o.ok && word < end; word += strlen(word) + 1) {
		if (!strcmp(before, "-c") || !strcmp(before, "--config-file")) {
			o = scan_file(word, &top, f);
			++*count;
		}
		before = word;
	}
	return o;
}

outcome config_scan_broker(const char *named, struct fault *f)
{
	struct buf command_line = {0};
	int count = 0;
	outcome o = file_read("/proc/self/cmdline", COMMAND_LINE_MAX, &command_line, f);
	if (o.ok)
		o = scan_named(buf_view(&command_line), &count, f);
	if (o.ok && named)
		o = config_scan(named, f);
	else if (o.ok && count == 0)
		o = refuse(f, REASON_CONFIG,
			   "the broker's command line names no configuration file: plugin_opt_config_file "
			   "has to");
	buf_free(&command_line);
	return o;
}
