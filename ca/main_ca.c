/*
 * mooring-ca: makes the OEM's CA and its service certificates. Runs by hand, never on line.
 */
#include "commands.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
	"mooring-ca - makes the OEM's certification authority and the certificates of its services\n"
	"\n"
	"  mooring-ca init --dir ca --name \"Example OEM\" --trust-domain example.com\n"
	"      Makes a root and three issuing CAs below it: device (for the signer), unattested (off unless "
	"you\n"
	"      configure it) and service. Take ca/root.key off-line; copy device.key and salt to the "
	"signer.\n"
	"\n"
	"  mooring-ca issue-service edge-1 --dir ca --server --san gw.example.com --san 192.0.2.7 --out "
	"edge-1\n"
	"  mooring-ca issue-service broker-1 --dir ca --client --role broker --out broker-1-feed\n"
	"      Makes PREFIX.key and PREFIX.pem (certificate and service CA) for a TLS server or client of "
	"yours.\n"
	"      --role is broker, gateway, edge or backend; --days is 1 to 398 (365). Server and client are "
	"two\n"
	"      certificates. Admit clients to the broker with mooringctl service add.\n"
	"\n"
	"  mooring-ca issue-ca device --dir ca --out device-2\n"
	"      Makes the next device, unattested or service CA, before the present one expires. Brokers "
	"trust the\n"
	"      root and need no restart.\n"
	"\n"
	"  mooring-ca status --dir ca [--json]\n"
	"  mooring-ca status --cert edge-1.pem broker-1.pem\n"
	"      Names and expiry; exit 1 when something expires within 30 days.\n"
	"\n"
	"Nothing is ever overwritten. Keys are P-256, PKCS#8, mode 0600.\n"
	"Exit: 0 done, 1 refused or past the warning line, 2 wrong usage.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"init", command_init},
	{"issue-service", command_issue_service},
	{"issue-ca", command_issue_ca},
	{"status", command_status},
};

int main(int argc, char **argv)
{
	umask(077);
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
	return command_usage(argc < 2 ? "a command is missing" : "no such command");
}
