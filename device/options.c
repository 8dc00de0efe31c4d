#include "options.h"

#include "common/nearest.h"
#include "common/version.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
	"usage: mooring-device run --dir DIR --gateway ORIGIN --ca FILE [--mqtt HOST:PORT] [options]\n"
	"       mooring-device request --dir DIR --gateway ORIGIN --ca FILE --out FILE [options]\n"
	"\n"
	"mooring-device - a secure thermometer, as an example of a device\n"
	"\n"
	"Its secure world, a process of its own, holds the Root of Trust key and the device key; its normal "
	"world\n"
	"gets a certificate from the gateway and publishes temperatures over MQTT.\n"
	"\n"
	"run       is power-on: makes a key if there is none, enrols if there is no certificate, connects,\n"
	"          publishes to dt/<thing>/temperature, takes commands from cmd/<thing>/#, renews at two "
	"thirds\n"
	"          of the certificate's life. Without --mqtt it ends once it has a certificate.\n"
	"request   takes a fresh challenge and writes the enrolment request to FILE instead of sending it.\n"
	"\n"
	"Options\n"
	"  --dir DIR               the device's folder, made by `mooring-factory make`\n"
	"  --gateway ORIGIN        https://host[:port]; its certificate must be for this host\n"
	"  --ca FILE               the OEM's root certificate (PEM), the only one that is trusted\n"
	"  --connect HOST:PORT     dial this address; whom it must be is still said by --gateway\n"
	"  --mqtt HOST:PORT        the broker; its certificate must be for this host\n"
	"  --new-key               run: ask with a new key, after the operator has allowed it (mooringctl\n"
	"                          allow-reenrol). Give it once, not in a script that starts the device: "
	"without\n"
	"                          the operator's leave a second key is taken for a clone's, and the device "
	"is\n"
	"                          quarantined. Through a power cut the same new key is kept; with its\n"
	"                          certificate the old one is replaced; a refusal leaves the device as it "
	"was\n"
	"  --evidence TYPE         psa-token or cose-csr (psa-token)\n"
	"  --lifetime SECONDS      ask for a certificate that lives so long, 60 to 31622400 (as the gateway "
	"likes)\n"
	"  --interval MS           milliseconds between readings, 0 to 86400000; 0: as fast as they are\n"
	"                          acknowledged (1000)\n"
	"  --count N               end when N readings are acknowledged (never)\n"
	"  --topic TOPIC           publish there (dt/<thing>/temperature)\n"
	"  --out FILE              request: where to write it\n"
	"  --insecure-single-user  go on where nothing keeps the two worlds apart\n"
	"  --help, --version\n"
	"\n"
	"Output\n"
	"  One JSON object a line, {\"event\": ..., \"t_ms\": ...}: key-made, key-kept, key-destroyed, "
	"challenge,\n"
	"  evidence, enrolled, certificate-kept, certificate-unusable, clock-set, connected, published, "
	"puback,\n"
	"  renewing, renewed, retry, refused, unreachable, cut-off, message, request-written. Warnings and "
	"errors\n"
	"  are JSON lines on standard error. A puback's reason is MQTT 5's (3.4.2.1): 0 taken, 16 taken, but\n"
	"  nobody subscribes to it, 135 not allowed.\n"
	"\n"
	"Exit code\n"
	"  0 done, or told to stop (SIGTERM, Ctrl-C); 1 failed; 2 wrong usage; 4 refused for good: the "
	"gateway\n"
	"  answered 403, the operator finds the reason under request_id, and starting it again is of no use\n"
	"\n"
	"Files\n"
	"  DIR/secure              the secure world's alone: rot.key, device-<n>.key, identity.json\n"
	"  DIR/normal              certificate.pem with its chain, state.json; made where they are missing.\n"
	"                          chain.cbor: the provenance chain, where the lines have written one; it is "
	"sent\n"
	"                          with each enrolment and renewal\n"
	"\n"
	"Examples\n"
	"  mooring-factory make --count 1 --dir factory\n"
	"  mooring-device run --dir factory/1 --gateway https://gw.example.com:8443 --ca root.pem \\\n"
	"      --mqtt mq.example.com:8883\n"
	"  mooring-device run --dir factory/1 --gateway https://gw.example.com:8443 --ca root.pem --new-key\n"
	"  mooring-device request --dir factory/1 --gateway https://gw.example.com:8443 --ca root.pem \\\n"
	"      --out request.json\n";

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
	OPT_NEW_KEY,
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
	{"new-key", no_argument, NULL, OPT_NEW_KEY},
	{"insecure-single-user", no_argument, NULL, OPT_INSECURE},
	{"help", no_argument, NULL, OPT_HELP},
	{"version", no_argument, NULL, OPT_VERSION},
	{NULL, 0, NULL, 0},
};

static bool wrong(const char *what, const char *value)
{
	const char *text = value ? value : what;
	const char *stop = text[0] && text[strlen(text) - 1] == '?' ? "" : ".";
	fprintf(stderr, "mooring-device: %s%s%s%s --help explains.\n", what, value ? ": " : "",
		value ? value : "", stop);
	return false;
}

static bool take_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
	char *end, range[96];
	long long v = strtoll(text, &end, 10);
	snprintf(range, sizeof range, "not a whole number from %lld to %lld", (long long)least,
		 (long long)most);
	if (end == text || *end || v < least || v > most)
		return wrong(range, text);
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
	char said[sizeof f.text + 128];
	if (!binding_check_origin(text, &f).ok) {
		snprintf(said, sizeof said, "--gateway %.100s: %s", text, f.text);
		return wrong(said, NULL);
	}
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
		return out->evidence || wrong("neither psa-token nor cose-csr", value);
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
	case OPT_NEW_KEY:
		return out->new_key = true;
	default:
		return out->insecure = true;
	}
}

static bool is_complete(const struct options *o)
{
	if (!o->folder || !o->origin || !o->ca_file)
		return wrong("--dir, --gateway and --ca are needed", NULL);
	if (o->command == OPTIONS_REQUEST && !o->out_file)
		return wrong("request needs --out", NULL);
	if (o->command == OPTIONS_REQUEST && (o->mqtt_host[0] || o->new_key))
		return wrong("--mqtt and --new-key are for run", NULL);
	if (o->command == OPTIONS_RUN && o->out_file)
		return wrong("--out is for request", NULL);
	return true;
}

/* What getopt_long calls wrong. */
static bool wrong_option(char *const *argv)
{
	char text[NEAREST_TEXT_MAX];
	nearest_option(argv, long_options, text);
	return wrong(text, NULL);
}

static bool take_command(const char *word, struct options *out)
{
	char text[NEAREST_TEXT_MAX];
	struct nearest near = nearest_begin(word);
	nearest_offer(&near, "run");
	nearest_offer(&near, "request");
	out->command = strcmp(word, "run") ? OPTIONS_REQUEST : OPTIONS_RUN;
	if (!strcmp(word, "run") || !strcmp(word, "request"))
		return true;
	snprintf(text, sizeof text, "there is no command \"%.64s\"%s%s%s", word,
		 near.best[0] ? ": did you mean " : "", near.best, near.best[0] ? "?" : "");
	return wrong(text, NULL);
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
		if (option == '?' ? !wrong_option(argv) : !take(option, optarg, out))
			return OPTIONS_WRONG;
	}
	if (optind + 1 != argc) {
		wrong("one command is needed: run or request", NULL);
		return OPTIONS_WRONG;
	}
	return take_command(argv[optind], out) && is_complete(out) ? OPTIONS_GO : OPTIONS_WRONG;
}
