/*
 * mooring-ca: makes the OEM's CA and its service certificates. Runs by hand, never on line.
 */
#include "commands.h"
#include "common/nearest.h"
#include "common/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
	"usage: mooring-ca init --dir DIR --name NAME --trust-domain DOMAIN\n"
	"       mooring-ca issue-service NAME --dir DIR (--server | --client) [--role ROLE] [--san HOST]...\n"
	"           [--days N] --out PREFIX\n"
	"       mooring-ca issue-ca device|unattested|service --dir DIR --out PREFIX\n"
	"       mooring-ca status (--dir DIR | --cert FILE...) [--json]\n"
	"\n"
	"mooring-ca - makes the OEM's certification authority and the certificates of its services\n"
	"\n"
	"init           makes a root and three issuing CAs below it: device (for the signer), unattested "
	"(off\n"
	"               unless the signer's configuration names it) and service. Take root.key off-line; "
	"copy\n"
	"               device.key and salt to the signer.\n"
	"issue-service  makes key and certificate for a TLS server or client of yours. Server and client are "
	"two\n"
	"               certificates. Admit back ends to the broker with `mooringctl service add`.\n"
	"issue-ca       makes the next issuing CA, before the present one expires. Brokers trust the root "
	"and\n"
	"               need no restart.\n"
	"status         names and expiry of certificates, warns 30 days before the end.\n"
	"Nothing is ever overwritten. It runs by hand, best on a machine without network.\n"
	"\n"
	"Options\n"
	"  --dir DIR               the CA's folder\n"
	"  --name NAME             init: the organisation, up to 43 characters; stands in every CA's name\n"
	"  --trust-domain DOMAIN   init: of the URIs in certificates, spiffe://DOMAIN/thing/...\n"
	"  --server, --client      issue-service: what the certificate is for\n"
	"  --role ROLE             issue-service: broker, gateway, edge or backend; what the holder may ask "
	"of the\n"
	"                          gateway hangs on it (edge for a server, backend for a client)\n"
	"  --san HOST              issue-service --server: a DNS name or IP address that clients dial; may "
	"be given\n"
	"                          several times (NAME, where that is a DNS name)\n"
	"  --days N                issue-service: how long it lives, 1 to 398 days (365)\n"
	"  --out PREFIX            where the pair goes: PREFIX.key, PREFIX.pem\n"
	"  --cert FILE...          status: these certificates instead of a folder\n"
	"  --json                  status: for scripts\n"
	"  --help, --version\n"
	"\n"
	"Exit code\n"
	"  0 done; 1 refused, or a certificate expires within 30 days; 2 wrong usage\n"
	"\n"
	"Files\n"
	"  DIR/root.key            take it off-line; issue-ca alone needs it\n"
	"  DIR/{device,unattested,service}.key\n"
	"                          of the issuing CAs, P-256 in PKCS#8, mode 0600\n"
	"  DIR/*.pem               their certificates: root.pem is what everybody trusts\n"
	"  DIR/salt                thing names are made from it; the signer and the gateway need it, mode "
	"0600\n"
	"  PREFIX.pem              certificate, then the service CA's\n"
	"\n"
	"Examples\n"
	"  mooring-ca init --dir ca --name \"Example OEM\" --trust-domain example.com\n"
	"  mooring-ca issue-service edge-1 --dir ca --server --san gw.example.com --san 192.0.2.7 --out "
	"edge-1\n"
	"  mooring-ca issue-service broker-1 --dir ca --client --role broker --out broker-1-feed\n"
	"  mooring-ca issue-ca device --dir ca --out device-2\n"
	"  mooring-ca status --dir ca\n"
	"  mooring-ca status --cert edge-1.pem broker-1.pem\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"init", command_init},
	{"issue-service", command_issue_service},
	{"issue-ca", command_issue_ca},
	{"status", command_status},
};

static int no_command(const char *word)
{
	char text[NEAREST_TEXT_MAX];
	if (!word)
		return command_usage("a command is missing: init, issue-service, issue-ca or status");
	struct nearest near = nearest_begin(word);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		nearest_offer(&near, commands[i].name);
	snprintf(text, sizeof text, "there is no command \"%.64s\"%s%s%s", word,
		 near.best[0] ? ": did you mean " : "", near.best, near.best[0] ? "?" : "");
	return command_usage(text);
}

int main(int argc, char **argv)
{
	umask(077);
	opterr = 0; /* what is wrong is said in our own words */
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))) {
		fputs(help, stdout);
		return EXIT_SUCCESS;
	}
	if (argc >= 2 && !strcmp(argv[1], "--version")) {
		puts("mooring-ca " MOORING_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		for (int a = 2; a < argc; a++)
			if (!strcmp(argv[a], "--help")) {
				fputs(help, stdout);
				return EXIT_SUCCESS;
			}
		return commands[i].run(argc - 1, argv + 1);
	}
	return no_command(argc < 2 ? NULL : argv[1]);
}
