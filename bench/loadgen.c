/*
 * loadgen - enrols N distinct devices at a set concurrency, each over a TLS connection of its own.
 *
 *   loadgen prepare --count N --records FILE --keys FILE [--batch NAME]    RoT keys and records, device keys and CSRs
 *   loadgen enrol --keys FILE --gateway ORIGIN --ca PEM --concurrency C [--from I --to J] [--out FOLDER] [--chains FILE]
 *       with --chains, each sends its provenance chain, as bench/chains made it of the same keys
 *       with --out, each device's key, certificate and issuing certificate are written to FOLDER/THING.pem
 *   loadgen challenge --gateway ORIGIN --ca PEM --concurrency C --count N
 *
 * Keys and CSRs are prepared; challenge, binding and evidence are made inside the clock, as a device would. The answer is
 * one JSON object: enrolments, failures, wall and own CPU seconds, p50 and p99 of one enrolment in milliseconds.
 */
#include "exchange.h"
#include "prepared.h"
#include "common/clock.h"
#include "common/evidence/binding.h"
#include "common/evidence/evidence.h"
#include "common/file.h"

#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { TIMEOUT_MS = 30000 };

struct device {
	EVP_PKEY *rot;
	uint8_t instance_id[INSTANCE_ID_SIZE];
	struct bytes csr, key, chain; /* chain: empty for none */
};

struct options {
	const char *verb, *records, *keys, *gateway, *ca, *batch, *out, *chains;
	long count, concurrency, from, to;
};

struct run {
	const struct options *o;
	const struct device *devices; /* NULL: challenges only */
	struct exchange_target *target;
	long total, next, landed, failed;
	double *ms;
	struct fault first_failure;
};

static void die(const char *what, const struct fault *f)
{
	fprintf(stderr, "loadgen: %s: %s\n", what, f ? f->text : "failed");
	exit(1);
}

static struct psa_claims claims_of(const uint8_t instance[INSTANCE_ID_SIZE], const uint8_t b[BINDING_SIZE])
{
	static const uint8_t digest[32] = {0x11};
	struct psa_claims c = {.client_id = -1, .lifecycle = 0x3000, .component_count = 1};
	memcpy(c.instance_id, instance, INSTANCE_ID_SIZE);
	memset(c.implementation_id, 0x42, sizeof c.implementation_id);
	memcpy(c.nonce, b, BINDING_SIZE);
	c.components[0] = (struct sw_component){.type = bytes_str("BL"),
						.value = bytes_of(digest, 32),
						.version = bytes_str("2.1.0"),
						.signer = bytes_of(digest, 32)};
	return c;
}

static void add_chain(struct buf *text, struct bytes chain)
{
	char encoded[BASE64_SIZE(CHAIN_MAX)];
	if (!chain.n)
		return;
	base64url_encode(chain, encoded);
	buf_printf(text, ",\"chain\":\"%s\"", encoded);
}

static char *enrolment_body(const struct device *d, const char *nonce_text, const char *origin,
			    struct fault *f)
{
	uint8_t nonce[NONCE_SIZE], b[BINDING_SIZE];
	size_t n;
	char csr_text[BASE64_SIZE(CSR_ROOM)], evidence_text[BASE64_SIZE(EVIDENCE_MAX)], *body = NULL;
	static const uint8_t alg[] = {0xa1, 0x01, 0x26};
	struct buf payload = {0}, token = {0}, text = {0};
	if (!base64url_decode(nonce_text, strlen(nonce_text), nonce, sizeof nonce, &n) || n != NONCE_SIZE)
		goto out;
	binding_compute(nonce, origin, d->csr, b);
	struct psa_claims claims = claims_of(d->instance_id, b);
	evidence_build_psa_payload(&payload, &claims);
	if (!cose_sign(&token, bytes_of(alg, sizeof alg), buf_view(&payload), d->rot, f).ok)
		goto out;
	base64_encode(d->csr, csr_text);
	base64_encode(buf_view(&token), evidence_text);
	buf_printf(&text,
		   "{\"csr\":\"%s\",\"evidence\":{\"type\":\"psa-token\",\"value\":\"%s\"},\"nonce\":\"%s\","
		   "\"audience\":\"%s\",\"mode\":\"C\"",
		   csr_text, evidence_text, nonce_text, origin);
	add_chain(&text, d->chain);
	buf_str(&text, "}");
	body = buf_take_str(&text);
out:
	buf_free(&payload);
	buf_free(&token);
	return body;
}

/* ---- one device on its way ---- */

struct flight {
	struct exchange *connection; /* NULL: none */
	long i;			     /* of the run's requests */
	int64_t began_us;
	bool enrolling; /* the challenge is there */
};

static void land(struct run *r, struct flight *flight, const struct fault *f)
{
	r->ms[flight->i] = (double)(clock_monotonic_us() - flight->began_us) / 1000;
	exchange_close(flight->connection);
	flight->connection = NULL;
	r->landed++;
	if (f && !r->failed++)
		r->first_failure = *f;
}

static void take_off(struct run *r, struct flight *flight)
{
	struct fault f;
	if (r->next == r->total)
		return;
	*flight = (struct flight){.i = r->next++, .began_us = clock_monotonic_us()};
	if (!exchange_open(r->target, &flight->connection, &f).ok ||
	    !exchange_post(flight->connection, "/v1/challenges", bytes_str("{}"), &f).ok)
		land(r, flight, &f);
}

/* The enrolment that goes with the challenge; false with the fault set where there is none. */
static bool post_enrolment(const struct run *r, struct flight *flight, const json_t *challenge,
			   struct fault *f)
{
	const char *nonce = json_string_value(json_object_get(challenge, "nonce"));
	char *body = nonce ? enrolment_body(&r->devices[flight->i], nonce, r->o->gateway, f) : NULL;
	flight->enrolling = true;
	bool ok = body && exchange_post(flight->connection, "/v1/enrolments", bytes_str(body), f).ok;
	free(body);
	return ok;
}

static void put_text(FILE *file, const json_t *text)
{
	if (fputs(json_string_value(text), file) < 0)
		die("write", NULL);
}

static void keep_certificate(const struct run *r, const struct flight *flight, const json_t *answer)
{
	const struct bytes key = r->devices[flight->i].key;
	const uint8_t *der = key.p;
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s.pem", r->o->out,
		 json_string_value(json_object_get(answer, "thing")));
	FILE *file = fopen(path, "w");
	EVP_PKEY *parsed = d2i_AutoPrivateKey_ex(NULL, &der, (long)key.n, crypto_ctx(), NULL);
	if (!file || !parsed)
		die(path, NULL);
	if (PEM_write_PrivateKey(file, parsed, NULL, NULL, 0, NULL, NULL) != 1)
		die(path, NULL);
	put_text(file, json_object_get(answer, "certificatePem"));
	put_text(file, json_object_get(answer, "chainPem"));
	if (fclose(file))
		die(path, NULL);
	EVP_PKEY_free(parsed);
}

static void take_answer(struct run *r, struct flight *flight, const struct exchange_answer *a)
{
	struct fault f = {.text = "no nonce in a challenge"};
	json_t *object = json_loadb((const char *)a->body.p, a->body.n, 0, NULL);
	bool done = flight->enrolling || !r->devices;
	if (a->status != 201 ||
	    (flight->enrolling && !json_is_string(json_object_get(object, "certificatePem")))) {
		refuse(&f, REASON_INTERNAL, "status %d: %.*s", a->status,
		       (int)(a->body.n < 200 ? a->body.n : 200), a->body.p);
		land(r, flight, &f);
	} else if (done) {
		if (flight->enrolling && r->o->out)
			keep_certificate(r, flight, object);
		land(r, flight, NULL);
	} else if (!post_enrolment(r, flight, object, &f)) {
		land(r, flight, &f);
	}
	json_decref(object);
}

/* Until it has to wait, or has landed. POLLIN or POLLOUT; 0: landed. */
static short fly(struct run *r, struct flight *flight)
{
	while (flight->connection) {
		struct exchange_answer answer;
		struct fault f = {.text = "the connection ended without an answer"};
		switch (exchange_step(flight->connection, &answer)) {
		case EXCHANGE_READS:
			return POLLIN;
		case EXCHANGE_WRITES:
			return POLLOUT;
		case EXCHANGE_FAILED:
			land(r, flight, &f);
			break;
		case EXCHANGE_ANSWERED:
			take_answer(r, flight, &answer);
			break;
		}
	}
	return 0;
}

static void time_out(struct run *r, struct flight *flights)
{
	struct fault f = {.text = "nothing happened for 30 s"};
	for (long i = 0; i < r->o->concurrency; i++)
		if (flights[i].connection)
			land(r, &flights[i], &f);
}

/* One slot: what flies in it, or the next device. */
static void serve(struct run *r, struct flight *flight, struct pollfd *socket)
{
	if (flight->connection && !socket->revents)
		return;
	do {
		if (!flight->connection)
			take_off(r, flight);
		socket->events = fly(r, flight);
	} while (!flight->connection && r->next < r->total);
	socket->fd = flight->connection ? exchange_socket(flight->connection) : -1;
	socket->revents = 0;
}

static void fly_all(struct run *r, struct flight *flights, struct pollfd *sockets)
{
	while (r->landed < r->total) {
		for (long i = 0; i < r->o->concurrency; i++)
			serve(r, &flights[i], &sockets[i]);
		if (r->landed < r->total && poll(sockets, (nfds_t)r->o->concurrency, TIMEOUT_MS) == 0)
			time_out(r, flights);
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double own_cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int drive(const struct options *o, const struct device *devices, long total)
{
	struct run r = {.o = o, .devices = devices, .total = total};
	struct flight *flights = calloc((size_t)o->concurrency, sizeof *flights);
	struct pollfd *sockets = calloc((size_t)o->concurrency, sizeof *sockets);
	struct fault f;
	r.ms = calloc((size_t)total, sizeof *r.ms);
	if (!flights || !sockets || !r.ms)
		die("memory", NULL);
	if (!exchange_target_new(o->gateway, o->ca, &r.target, &f).ok)
		die("gateway", &f);
	double cpu = own_cpu();
	int64_t start = clock_monotonic_us();
	fly_all(&r, flights, sockets);
	double wall = (double)(clock_monotonic_us() - start) / 1e6;
	qsort(r.ms, (size_t)total, sizeof *r.ms, by_value);
	json_t *report = json_pack("{s:I,s:I,s:f,s:f,s:f,s:f,s:s}", "requests", (json_int_t)total, "failures",
				   (json_int_t)r.failed, "wall_s", wall, "generator_cpu_s", own_cpu() - cpu,
				   "p50_ms", r.ms[total / 2], "p99_ms", r.ms[total * 99 / 100],
				   "first_failure", r.first_failure.text);
	json_dumpf(report, stdout, 0);
	putchar('\n');
	json_decref(report);
	exchange_target_free(r.target);
	free(flights);
	free(sockets);
	free(r.ms);
	return r.failed ? 1 : 0;
}

/* Before the clock runs: a device has its keys in memory as well. */
static void load_device(const struct prepared *from, struct device *to)
{
	const uint8_t *der = from->rot_der;
	to->rot = d2i_AutoPrivateKey_ex(NULL, &der, (long)from->rot_size, crypto_ctx(), NULL);
	to->csr = bytes_of(from->csr, from->csr_size);
	to->key = bytes_of(from->key_der, from->key_size);
	if (!to->rot || !evidence_instance_id(to->rot, to->instance_id))
		die("a Root of Trust key", NULL);
}

static void load_chains(const struct options *o, struct buf *file, struct device *devices, long count)
{
	struct fault f;
	if (!o->chains)
		return;
	if (!file_read(o->chains, (size_t)1 << 32, file, &f).ok)
		die("chains", &f);
	const struct prepared_chain *chains = (const void *)file->p;
	if ((long)(file->n / sizeof *chains) < o->from + count)
		die("fewer chains than keys", NULL);
	for (long i = 0; i < count; i++)
		devices[i].chain = bytes_of(chains[o->from + i].chain, chains[o->from + i].size);
}

static int enrol(const struct options *o)
{
	struct fault f;
	struct buf keys, chains = {0};
	if (!file_read(o->keys, (size_t)1 << 32, &keys, &f).ok)
		die("keys", &f);
	const struct prepared *prepared = (const void *)keys.p;
	long count = (long)(keys.n / sizeof *prepared), to = o->to && o->to < count ? o->to : count,
	     n = to - o->from;
	struct device *devices = calloc(n > 0 ? (size_t)n : 1, sizeof *devices);
	if (!devices)
		die("memory", NULL);
	for (long i = 0; i < n; i++)
		load_device(&prepared[o->from + i], &devices[i]);
	load_chains(o, &chains, devices, n);
	int rc = n > 0 ? drive(o, devices, n) : 1;
	for (long i = 0; i < n; i++)
		EVP_PKEY_free(devices[i].rot);
	free(devices);
	buf_free(&chains);
	buf_free(&keys);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{"count", 1, 0, 'n'},	{"records", 1, 0, 'r'}, {"keys", 1, 0, 'k'},
		{"gateway", 1, 0, 'g'}, {"ca", 1, 0, 'c'},	{"concurrency", 1, 0, 'j'},
		{"from", 1, 0, 'f'},	{"to", 1, 0, 't'},	{"batch", 1, 0, 'b'},
		{"out", 1, 0, 'o'},	{"chains", 1, 0, 'p'},	{0},
	};
	struct options o = {.verb = argc > 1 ? argv[1] : "", .concurrency = 64, .batch = "BENCH"};
	for (int c; (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;)
		switch (c) {
		case 'n':
			o.count = atol(optarg);
			break;
		case 'r':
			o.records = optarg;
			break;
		case 'k':
			o.keys = optarg;
			break;
		case 'g':
			o.gateway = optarg;
			break;
		case 'c':
			o.ca = optarg;
			break;
		case 'j':
			o.concurrency = atol(optarg);
			break;
		case 'f':
			o.from = atol(optarg);
			break;
		case 't':
			o.to = atol(optarg);
			break;
		case 'b':
			o.batch = optarg;
			break;
		case 'o':
			o.out = optarg;
			break;
		case 'p':
			o.chains = optarg;
			break;
		default:
			return 2;
		}
	if (!strcmp(o.verb, "prepare") && o.count > 0 && o.records && o.keys)
		return prepared_make(o.records, o.keys, o.count, o.batch);
	if (!strcmp(o.verb, "enrol") && o.keys && o.gateway && o.ca)
		return enrol(&o);
	if (!strcmp(o.verb, "challenge") && o.gateway && o.ca && o.count > 0)
		return drive(&o, NULL, o.count);
	fprintf(stderr,
		"usage: loadgen prepare|enrol|challenge; the head of bench/loadgen.c tells the options\n");
	return 2;
}
