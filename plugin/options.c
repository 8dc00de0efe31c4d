#include "plugin/options.h"

#include "plugin/broker.h"

#include <ctype.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { STALENESS_MIN = 10, STALENESS_MAX = 86400 };

static outcome check_gateway(char *value, struct options *o, struct fault *f)
{
	(void)o;
	static const char scheme[] = "https://";
	size_t n = strlen(value);
	if (n && value[n - 1] == '/')
		value[--n] = '\0';
	if (strncmp(value, scheme, sizeof scheme - 1) || n == sizeof scheme - 1 ||
	    strpbrk(value + sizeof scheme - 1, "/?#@ "))
		return refuse(f, REASON_CONFIG, "plugin_opt_gateway is https://host[:port], not \"%.100s\"",
			      value);
	return DONE;
}

static outcome check_broker(char *value, struct options *o, struct fault *f)
{
	(void)o;
	size_t n = strlen(value);
	bool fits = n > 0 && n <= OPTIONS_BROKER_MAX;
	for (size_t i = 0; fits && i < n; i++)
		fits = isalnum((unsigned char)value[i]) || strchr("-_.", value[i]);
	return fits ? DONE
		    : refuse(f, REASON_CONFIG, "plugin_opt_broker is 1 to %d letters, digits, '-', '_', '.'",
			     OPTIONS_BROKER_MAX);
}

static outcome check_staleness(char *value, struct options *o, struct fault *f)
{
	char *end;
	long s = strtol(value, &end, 10);
	if (*end || end == value || s < STALENESS_MIN || s > STALENESS_MAX)
		return refuse(f, REASON_CONFIG, "plugin_opt_staleness is %d to %d seconds", STALENESS_MIN,
			      STALENESS_MAX);
	o->staleness_s = (int)s;
	return DONE;
}

static const struct {
	const char *key;
	size_t at; /* of the string in struct options; none for a number */
	bool optional;
	outcome (*check)(char *value, struct options *o, struct fault *f);
} schema[] = {
	{"gateway", offsetof(struct options, gateway), false, check_gateway},
	{"ca_file", offsetof(struct options, ca_file), false, NULL},
	{"cert_file", offsetof(struct options, cert_file), false, NULL},
	{"key_file", offsetof(struct options, key_file), false, NULL},
	{"feed_key", offsetof(struct options, feed_key), false, NULL},
	{"state_dir", offsetof(struct options, state_dir), false, NULL},
	{"broker", offsetof(struct options, broker), false, check_broker},
	{"config_file", offsetof(struct options, config_file), true, NULL},
	{"staleness", SIZE_MAX, true, check_staleness},
};

enum { SCHEMA_COUNT = sizeof schema / sizeof *schema };

static char **slot(struct options *o, size_t at)
{
	return (char **)(void *)((char *)o + at);
}

static outcome take(const struct mosquitto_opt *opt, struct options *o, unsigned *seen, struct fault *f)
{
	size_t i = 0;
	while (i < SCHEMA_COUNT && strcmp(opt->key, schema[i].key))
		i++;
	if (i == SCHEMA_COUNT)
		return refuse(f, REASON_CONFIG, "unknown option plugin_opt_%.64s", opt->key);
	if (*seen & 1u << i)
		return refuse(f, REASON_CONFIG, "plugin_opt_%s is there twice", opt->key);
	*seen |= 1u << i;
	char *value = strdup(opt->value ? opt->value : "");
	if (!value)
		return refuse(f, REASON_NO_MEMORY, "no memory for options");
	outcome result = !*value	   ? refuse(f, REASON_CONFIG, "plugin_opt_%s is empty", opt->key)
			 : schema[i].check ? schema[i].check(value, o, f)
					   : DONE;
	if (schema[i].at == SIZE_MAX)
		free(value);
	else
		*slot(o, schema[i].at) = value;
	return result;
}

outcome options_read(const struct mosquitto_opt *list, int count, struct options *out, struct fault *f)
{
	unsigned seen = 0;
	*out = (struct options){.staleness_s = OPTIONS_STALENESS_DEFAULT};
	for (int i = 0; i < count; i++) {
		outcome o = take(&list[i], out, &seen, f);
		if (!o.ok)
			return o;
	}
	for (size_t i = 0; i < SCHEMA_COUNT; i++)
		if (!schema[i].optional && !(seen & 1u << i))
			return refuse(f, REASON_CONFIG, "plugin_opt_%s is missing", schema[i].key);
	return DONE;
}

void options_free(struct options *o)
{
	for (size_t i = 0; i < SCHEMA_COUNT; i++)
		if (schema[i].at != SIZE_MAX)
			free(*slot(o, schema[i].at));
	*o = (struct options){0};
}
