/*
 * mqttgen - MQTT clients with TLS 1.3 and certificates of their own, one thread, for bench/broker.py and sessions.py.
 *
 *   mqttgen connect --count N --concurrency C          new connections: CONNECT, CONNACK, DISCONNECT
 *   mqttgen publish --publishers P --subscribers S --qos Q --batch B --count N
 *       each publisher sends B messages in one write and waits until all of them are where they go;
 *       N messages once to warm up, and again for each line on standard input
 *   mqttgen hold                                       connects, says so, and prints which session ended when
 *   mqttgen pulse --publishers P --pause MS            steady traffic; a line on standard input asks how it went
 *
 * All take --port, --ca, --identities FOLDER [--from I --to J]; publish and pulse --subscriber FILE. With --pid, the broker's
 * processor time and instructions are told per connection or message. What is printed is JSON.
 */
#include "mqttgen.h"

#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum { EVENTS = 256, PATH_SIZE = 4096 };

void mqttgen_die(const char *what, const struct fault *f)
{
	fprintf(stderr, "mqttgen: %s%s%s\n", what, f ? ": " : "", f ? f->text : "");
	exit(1);
}

void *mqttgen_room(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);
	if (!p)
		mqttgen_die("no memory", NULL);
	return p;
}

struct mqtt_client *mqttgen_open(struct mqttgen *g, const struct mqtt_identity *who, const char *client_id,
				 long number)
{
	struct mqtt_client *c;
	struct fault f;
	if (!mqtt_open(g->site, who, client_id, &c, &f).ok)
		mqttgen_die("connect", &f);
	c->number = number;
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
	if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, c->fd, &event))
		mqttgen_die("epoll", NULL);
	return c;
}

bool mqttgen_turn(struct mqttgen *g, int timeout_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(g->epoll, events, EVENTS, timeout_ms);
	for (int i = 0; i < n; i++) {
		struct mqtt_client *c = events[i].data.ptr;
		if (!mqtt_turn(c, g->packet, g))
			g->ended(g, c);
	}
	return n != 0;
}

void mqttgen_report(struct mqttgen *g, json_t *report, const struct counted *before, double count)
{
	if (g->counters) {
		struct counted now = counters_read(g->counters);
		json_object_set_new(report, "cpu_us", json_real((now.cpu_us - before->cpu_us) / count));
		if (counters_have_instructions(g->counters))
			json_object_set_new(report, "instructions",
					    json_real((now.instructions - before->instructions) / count));
		json_object_set_new(report, "kernel", json_real((now.kernel - before->kernel) / count));
	}
	json_dumpf(report, stdout, 0);
	putchar('\n');
	fflush(stdout);
	json_decref(report);
}

static int is_pem(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');
	return dot && !strcmp(dot, ".pem");
}

static void load_identities(struct mqttgen *g)
{
	char path[PATH_SIZE];
	struct dirent **names;
	struct fault f;
	long found = scandir(g->o->identities, &names, is_pem, alphasort), to = g->o->to ? g->o->to : found;
	if (found < to || to <= g->o->from)
		mqttgen_die("--identities: not so many there", NULL);
	g->identities = mqttgen_room((size_t)(to - g->o->from), sizeof *g->identities);
	for (long i = 0; i < found; i++) {
		if (i >= g->o->from && i < to) {
			snprintf(path, sizeof path, "%s/%s", g->o->identities, names[i]->d_name);
			if (!mqtt_identity_load(path, &g->identities[g->identity_count++], &f).ok)
				mqttgen_die("identity", &f);
		}
		free(names[i]);
	}
	free(names);
}

static void start(struct mqttgen *g)
{
	struct fault f;
	if (!mqtt_site_new((int)g->o->port, g->o->ca, &g->site, &f).ok)
		mqttgen_die("broker", &f);
	if (g->o->pid && !counters_open((pid_t)g->o->pid, &g->counters, &f).ok)
		mqttgen_die("counters", &f);
	if ((g->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0)
		mqttgen_die("epoll", NULL);
	load_identities(g);
}

static void end(struct mqttgen *g)
{
	for (long i = 0; i < g->identity_count; i++)
		mqtt_identity_free(&g->identities[i]);
	free(g->identities);
	mqtt_site_free(g->site);
	counters_close(g->counters);
}

static void read_options(int argc, char **argv, struct mqttgen_options *o)
{
	static const struct option names[] = {
		{"identities", 1, 0, 'i'}, {"subscriber", 1, 0, 's'},  {"ca", 1, 0, 'a'},
		{"port", 1, 0, 'p'},	   {"pid", 1, 0, 'd'},	       {"from", 1, 0, 'f'},
		{"to", 1, 0, 't'},	   {"count", 1, 0, 'n'},       {"concurrency", 1, 0, 'c'},
		{"publishers", 1, 0, 'P'}, {"subscribers", 1, 0, 'S'}, {"qos", 1, 0, 'q'},
		{"batch", 1, 0, 'b'},	   {"pause", 1, 0, 'm'},       {0},
	};
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;)
		switch (c) {
		case 'i':
			o->identities = optarg;
			break;
		case 's':
			o->subscriber = optarg;
			break;
		case 'a':
			o->ca = optarg;
			break;
		case 'p':
			o->port = atol(optarg);
			break;
		case 'd':
			o->pid = atol(optarg);
			break;
		case 'f':
			o->from = atol(optarg);
			break;
		case 't':
			o->to = atol(optarg);
			break;
		case 'n':
			o->count = atol(optarg);
			break;
		case 'c':
			o->concurrency = atol(optarg);
			break;
		case 'P':
			o->publishers = atol(optarg);
			break;
		case 'S':
			o->subscribers = atol(optarg);
			break;
		case 'q':
			o->qos = atol(optarg);
			break;
		case 'b':
			o->batch = atol(optarg);
			break;
		case 'm':
			o->pause_ms = atol(optarg);
			break;
		default:
			exit(2);
		}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct mqttgen *g);
		bool reads; /* needs a subscriber */
	} verbs[] = {
		{"connect", mqttgen_connect, false},
		{"publish", mqttgen_publish, true},
		{"hold", mqttgen_hold, false},
		{"pulse", mqttgen_pulse, true},
	};
	struct mqttgen_options o = {
		.concurrency = 8, .publishers = 50, .subscribers = 1, .batch = 1, .pause_ms = 20};
	read_options(argc, argv, &o);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs && optind < argc; i++) {
		if (strcmp(argv[optind], verbs[i].name) || !o.identities || !o.ca || !o.port ||
		    (verbs[i].reads && !o.subscriber))
			continue;
		struct mqttgen g = {.o = &o};
		start(&g);
		verbs[i].run(&g);
		end(&g);
		return 0;
	}
	fprintf(stderr,
		"usage: mqttgen connect|publish|hold|pulse; the head of bench/mqttgen.c tells the options\n");
	return 2;
}
