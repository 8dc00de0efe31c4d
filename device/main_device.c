/* mooring-device: starts the secure world, confines the normal world, and comes to its identity. */
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "confine.h"
#include "identity.h"
#include "operation.h"
#include "options.h"
#include "report.h"
#include "secure_world.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct power_on {
	struct options options;
	struct device device;
	struct device_clock clock;
	pid_t secure_world;
	int out; /* request: where to write */
};

static outcome start_secure_world(struct power_on *p, struct fault *f)
{
	char folder[4096];
	if ((size_t)snprintf(folder, sizeof folder, "%s/secure", p->options.folder) >= sizeof folder)
		return file_fault(f, ENAMETOOLONG, "open", p->options.folder);
	const struct secure_world_options options = {.folder = folder, .insecure = p->options.insecure};
	return secure_world_start(&options, &p->device.psa, &p->secure_world, f);
}

static outcome open_out(struct power_on *p, struct fault *f)
{
	p->out = -1;
	if (!p->options.out_file)
		return DONE;
	p->out = open(p->options.out_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return p->out < 0 ? file_fault(f, errno, "create", p->options.out_file) : DONE;
}

/* From here on this world has DIR/normal, the network, and what it reads to use it. */
static outcome confine_normal_world(struct power_on *p, struct fault *f)
{
	const char *const read_only[] = {p->options.ca_file, NULL};
	const struct confine confine = {
		.folder = p->device.store.folder,
		.read_only = read_only,
		.network = true,
		.insecure = p->options.insecure,
	};
	return confine_enter(&confine, f);
}

static outcome prepare(struct power_on *p, struct fault *f)
{
	struct device *d = &p->device;
	const struct gateway_options gateway = {
		.origin = p->options.origin,
		.ca_file = p->options.ca_file,
		.connect_to = p->options.connect_to,
		.clock = &p->clock,
	};
	d->clock = &p->clock;
	d->evidence = p->options.evidence;
	d->origin = p->options.origin;
	d->lifetime_s = p->options.lifetime_s;
	d->pause = stop_pause;
	outcome r = start_secure_world(p, f);
	if (r.ok)
		r = stop_catch(f);
	if (r.ok)
		r = store_create(p->options.folder, &d->store, f);
	if (r.ok)
		r = open_out(p, f);
	if (r.ok)
		r = confine_normal_world(p, f);
	if (r.ok)
		r = cert_load_pem(p->options.ca_file, &d->root, f);
	if (r.ok)
		r = gateway_https_new(&gateway, &d->gateway, f);
	return r.ok ? identity_load(d, clock_wall_ms(), f) : r;
}

static int exit_code_of(enum enrol_result result)
{
	if (result == ENROL_CERTIFIED || result == ENROL_STOPPED)
		return EXIT_DONE;
	return result == ENROL_REFUSED ? EXIT_REFUSED : EXIT_FAILED;
}

static outcome run(struct power_on *p, int *code, struct fault *f)
{
	struct identity identity;
	stop_at_once(true);
	outcome r = identity_power_on(&p->device, p->options.new_key, &identity, f);
	stop_at_once(false);
	*code = r.ok ? exit_code_of(identity.result) : EXIT_FAILED;
	if (r.ok && identity.result == ENROL_CERTIFIED && p->options.mqtt_host[0]) {
		const struct operation_options options = {
			.host = p->options.mqtt_host,
			.port = p->options.mqtt_port,
			.topic = p->options.topic,
			.interval_ms = p->options.interval_ms,
			.count = (uint64_t)p->options.count,
		};
		*code = operation_run(&p->device, &identity, &options);
	}
	credential_free(&identity.credential);
	return r;
}

static outcome write_request(struct power_on *p, const uint8_t nonce[NONCE_SIZE], struct fault *f)
{
	struct request_input in = {
		.psa = p->device.psa,
		.key = p->device.state.key,
		.evidence = p->options.evidence,
		.origin = p->options.origin,
		.lifetime_s = p->options.lifetime_s,
	};
	struct buf json = {0}, chain;
	memcpy(in.nonce, nonce, sizeof in.nonce);
	outcome r = store_load_chain(&p->device.store, &chain, f);
	in.chain = buf_view(&chain);
	if (r.ok)
		r = request_build(&in, &json, f);
	buf_byte(&json, '\n');
	if (r.ok && json.failed)
		r = refuse(f, REASON_NO_MEMORY, "no memory for a request");
	if (r.ok)
		r = file_write_all(p->out, buf_view(&json), p->options.out_file, f);
	buf_free(&chain);
	buf_free(&json);
	return r;
}

static outcome request(struct power_on *p, int *code, struct fault *f)
{
	uint8_t nonce[NONCE_SIZE];
	struct enrol_answer answer;
	stop_at_once(true);
	outcome r = identity_ensure_key(&p->device, f);
	if (r.ok)
		r = enrol_challenge(&p->device, nonce, &answer, f);
	if (!r.ok)
		return r;
	*code = exit_code_of(answer.result);
	if (answer.result != ENROL_CERTIFIED) {
		enrol_report_no(answer.result == ENROL_RETRY ? "unavailable" : "refused", &answer, 0);
		return DONE;
	}
	r = write_request(p, nonce, f);
	if (r.ok)
		report("request-written", "{s:s}", "file", p->options.out_file);
	return r;
}

static void power_off(struct power_on *p)
{
	gateway_https_free(p->device.gateway);
	X509_free(p->device.root);
	if (p->out >= 0)
		close(p->out);
	psa_close(p->device.psa);
	if (p->secure_world > 0)
		waitpid(p->secure_world, NULL, 0);
}

int main(int argc, char **argv)
{
	struct power_on p = {.out = -1};
	struct fault f;
	int code = EXIT_FAILED;
	enum options_result parsed = options_parse(argc, argv, &p.options);
	if (parsed != OPTIONS_GO)
		return parsed == OPTIONS_ANSWERED ? EXIT_DONE : EXIT_USAGE;
	log_init("mooring-device", LOG_LEVEL_WARN);
	device_clock_start(&p.clock, clock_wall_ms(), 0);
	report_start(&p.clock);
	outcome r = prepare(&p, &f);
	if (r.ok)
		r = p.options.command == OPTIONS_RUN ? run(&p, &code, &f) : request(&p, &code, &f);
	if (!r.ok) {
		log_fault(LOG_LEVEL_ERROR, NULL, &f, "the device stops");
		code = EXIT_FAILED;
	}
	power_off(&p);
	return code;
}
