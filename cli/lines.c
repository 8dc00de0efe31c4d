#include "lines.h"

#include <stdio.h>
#include <string.h>

static bool is_meant(const json_t *line, const char *name)
{
	const char *hex = api_text(line, "line");
	return !strcmp(api_text(line, "site"), name) || (*name && !strncmp(hex, name, strlen(name)));
}

static int say_which(const json_t *lines, const char *name, size_t found)
{
	const json_t *line;
	size_t i;
	if (!found)
		fprintf(stderr,
			"mooringctl: not-found: no line has the key id or site \"%.40s\": mooringctl line list\n",
			name);
	else
		fprintf(stderr, "mooringctl: not-found: \"%.40s\" are several lines:", name);
	json_array_foreach((json_t *)(uintptr_t)lines, i, line)
		if (found && is_meant(line, name))
			fprintf(stderr, " %s", api_text(line, "line"));
	if (found)
		fputc('\n', stderr);
	return EXIT_REFUSED;
}

/* A line that has records of several programmes is one line. */
int lines_find(struct ctl *c, const char *name, char hex[LINE_HEX_SIZE])
{
	json_t *answer = NULL, *line;
	size_t i, found = 0;
	int code = api_call(c, "GET", "/v1/admin/lines", NULL, &answer);
	if (code != EXIT_DONE)
		return code;
	*hex = '\0';
	json_array_foreach(json_object_get(answer, "lines"), i, line) {
		if (!is_meant(line, name) || !strcmp(hex, api_text(line, "line")))
			continue;
		snprintf(hex, LINE_HEX_SIZE, "%s", api_text(line, "line"));
		found++;
	}
	if (found != 1)
		code = say_which(json_object_get(answer, "lines"), name, found);
	json_decref(answer);
	return code;
}
