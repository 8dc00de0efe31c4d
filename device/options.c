#include "options.h"

#include "version.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
	"mooring-device: a secure thermometer. Its secure world, a process of its own, holds the Root of "
	"Trust key and\n"
	"the device key; its normal world gets a certificate from the gateway and publishes temperatures "
	"over MQTT.\n"
	"\n"
	"  mooring-device run --dir DIR --gateway ORIGIN --ca root.pem --mqtt HOST:PORT [options]\n"
	"  mooring-device request --dir DIR --gateway ORIGIN --ca root.pem --out FILE [options]\n"
	"\n"
	"run      power-on: makes a key if there is none, enrols if there is no certificate, connects, "
	"publishes to\n"
	"         dt/<thing>/temperature, takes commands from cmd/<thing>/#, renews at two thirds of the\n"
	"         certificate's life. Without --mqtt it ends once it has a certificate.\n"
	"request  takes a fresh challenge and writes the enrolment request to FILE instead of sending it.\n"
	"\n"
	"  --dir DIR             made by `mooring-factory make`: DIR/secure is the secure world's, "
	"DIR/normal is made\n"
	"  --gateway ORIGIN      https://host[:port]; its certificate must be for this host\n"
	"  --ca FILE             the OEM's root certificate, the only one that is trusted\n"
	"  --connect HOST:PORT   dial this address for the gateway; whom it must be is still said by "
	"--gateway\n"
	"  --mqtt HOST:PORT      the broker; its certificate must be for this host\n"
	"  --evidence TYPE       psa-token (default) or cose-csr\n"
	"  --lifetime SECONDS    ask for a certificate that lives this long\n"
	"  --interval MS         between readings (1000); 0 = as fast as they are acknowledged\n"
	"  --count N             end when N readings are acknowledged\n"
	"  --topic TOPIC         publish there instead\n"
	"  --insecure-single-user  go on where nothing keeps the two worlds apart\n"
	"  --help, --version\n"
	"\n"
	"Standard output: one JSON object a line, {\"event\": ..., \"t_ms\": ...}: key-made, challenge, "
	"evidence, enrolled,\n"
	"certificate-kept, connected, published, puback, renewing, renewed, retry, refused, cut-off, "
	"message.\n"
	"Exit code: 0 done, 2 refused for good (the operator finds the reason under request_id), 1 anything "
	"else.\n"
	"\n"
	"  mooring-factory make --count 1 --dir factory\n"
	"  mooring-device run --dir factory/1 --gateway https://gw.example.com:8443 --ca root.pem --mqtt "
	"mq.example.com:8883\n";

enum {
	OPT_DIR = 256,
	OPT_GATEWAY,
	OPT_CA,
	OPT_CONNECT,
	OPT_MQTT,
	OPT_EVIDENCE,
	OPT_LIFETIME,
	OPT_INTERVAL,
	OPT_COUNT,
	OPT_TOPIC,
	OPT_OUT,
	OPT_INSECURE,
	OPT_HELP,
	OPT_VERSION
};

static const struct option long_options[] = {
	{"dir", required_argument, NULL, OPT_DIR},
	{"gateway", required_argument, NULL, OPT_GATEWAY},
	{"ca", required_argument, NULL, OPT_CA},
	{"connect", required_argument, NULL, OPT_CONNECT},
	{"mqtt", required_argument, NULL, OPT_MQTT},
	{"evidence", required_argument, NULL, OPT_EVIDENCE},
	{"lifetime", required_argument, NULL, OPT_LIFETIME},
	{"interval", required_argument, NULL, OPT_INTERVAL},
	{"count", required_argument, NULL, OPT_COUNT},
	{"topic", required_argument, NULL, OPT_TOPIC},
	{"out", required_argument, NULL, OPT_OUT},
	{"insecure-single-user", no_argument, NULL, OPT_INSECURE},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static bool wrong(const char *what, const char *value)
{
	fprintf(stderr, "mooring-device: %s%s%s. --help explains.\n", what, value ? ": " : "",
		value ? value : "");
	return false;
}

static bool take_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
	char *end;
	long long v = strtoll(text, &end, 10);
	if (end == text || *end || v < least || v > most)
		return wrong("not a number in range", text);
	*out = v;
	return true;
}

/* "host:port", "[address]:port". */
static bool take_address(const char *text, char *host, size_t room, int *port)
{
	const char *colon = strrchr(text, ':');
	int64_t number;
	size_t n = colon ? (size_t)(colon - text) : 0;
	if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= room || memchr(text, '[', n) || memchr(text, ']', n))
		return wrong("not HOST:PORT", text);
	if (!take_number(colon + 1, 1, 65535, &number))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (port)
		*port = (int)number;
	return true;
}

static bool take_origin(const char *text, struct options *out)
{
	struct fault f;
	if (!binding_check_origin(text, &f).ok)
		return wrong(f.text, NULL);
	out->origin = text;
	return true;
}

static bool take(int option, const char *value, struct options *out)
{
	char unused[256];
	switch (option) {
	case OPT_DIR:
		out->folder = value;
		return true;
	case OPT_GATEWAY:
		return take_origin(value, out);
	case OPT_CA:
		out->ca_file = value;
		return true;
	case OPT_CONNECT:
		out->connect_to = value;
		return take_address(value, unused, sizeof unused, NULL);
	case OPT_MQTT:
		return take_address(value, out->mqtt_host, sizeof out->mqtt_host, &out->mqtt_port);
	case OPT_EVIDENCE:
		out->evidence = evidence_type_find(value);
		return out->evidence || wrong("not a type of evidence", value);
	case OPT_LIFETIME:
		return take_number(value, 60, 366 * 86400, &out->lifetime_s);
	case OPT_INTERVAL:
		return take_number(value, 0, 86400000, &out->interval_ms);
	case OPT_COUNT:
		return take_number(value, 1, INT64_MAX, &out->count);
	case OPT_TOPIC:
		out->topic = value;
		return true;
	case OPT_OUT:
		out->out_file = value;
		return true;
	case OPT_INSECURE:
		return out->insecure = true;
	default:
		return wrong("unknown option, or one without its value", NULL);
	}
}

static bool is_complete(const struct options *o)
{
	if (!o->folder || !o->origin || !o->ca_file)
		return wrong("--dir, --gateway and --ca are needed", NULL);
	if (o->command == OPTIONS_REQUEST && !o->out_file)
		return wrong("request needs --out", NULL);
	return true;
}

enum options_result options_parse(int argc, char **argv, struct options *out)
{
	int option;
	*out = (struct options){.evidence = EVIDENCE_PSA_TOKEN, .interval_ms = 1000};
	opterr = 0;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == OPT_HELP || option == OPT_VERSION) {
			fputs(option == OPT_HELP ? HELP : "mooring-device " MOORING_VERSION "\n", stdout);
			return OPTIONS_ANSWERED;
		}
		if (!take(option, optarg, out))
			return OPTIONS_WRONG;
	}
	const char *command = optind < argc ? argv[optind] : "";
	if (optind + 1 != argc || (strcmp(command, "run") && strcmp(command, "request"))) {
		wrong("one command is needed: run or request", NULL);
		return OPTIONS_WRONG;
	}
	out->command = strcmp(command, "run") ? OPTIONS_REQUEST : OPTIONS_RUN;
	return is_complete(out) ? OPTIONS_GO : OPTIONS_WRONG;
}
