#include "fleet.h"

#include "ctl.h"
#include "input.h"
#include "lines.h"
#include "moment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THING_MAX = 136, ROOM_START = 1024 };

void fleet_free(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++) {
		free(fleet->devices[i].name);
		free(fleet->devices[i].thing);
	}
	free(fleet->devices);
	json_decref(fleet->brokers);
	*fleet = (struct fleet){0};
}

/* ---- the list ---- */

static bool add(struct fleet *fleet, const char *name, size_t n)
{
	if (fleet->count == fleet->room) {
		size_t room = fleet->room ? 2 * fleet->room : ROOM_START;
		struct fleet_device *more = realloc(fleet->devices, room * sizeof *more);
		if (!more)
			return false;
		fleet->devices = more;
		fleet->room = room;
	}
	char *copy = strndup(name, n);
	if (copy)
		fleet->devices[fleet->count++] = (struct fleet_device){.name = copy};
	return copy;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct fleet_device *)a)->name, ((const struct fleet_device *)b)->name);
}

static void drop_repeated(struct fleet *fleet)
{
	size_t kept = 0;
	if (fleet->count)
		qsort(fleet->devices, fleet->count, sizeof *fleet->devices, by_name);
	for (size_t i = 0; i < fleet->count; i++) {
		if (kept && !strcmp(fleet->devices[kept - 1].name, fleet->devices[i].name))
			free(fleet->devices[i].name);
		else
			fleet->devices[kept++] = fleet->devices[i];
	}
	fleet->count = kept;
}

/* The word of a line, if it has one. */
static outcome take_line(struct fleet *fleet, const char *line, size_t n, size_t number, const char *path,
			 struct fault *f)
{
	static const char blanks[] = " \t\r";
	const char *comment = memchr(line, '#', n);
	size_t end = comment ? (size_t)(comment - line) : n, start = 0;
	while (start < end && strchr(blanks, line[start]))
		start++;
	while (end > start && strchr(blanks, line[end - 1]))
		end--;
	if (start == end)
		return DONE;
	for (size_t i = start; i < end; i++)
		if (line[i] < 0x21 || line[i] > 0x7e || end - start > THING_MAX)
			return refuse(f, REASON_BAD_FIELD, "%s:%zu: this is no name of a thing",
				      input_name(path), number);
	return add(fleet, line + start, end - start) ? DONE
						     : refuse(f, REASON_NO_MEMORY, "no memory for the list");
}

static outcome read_file(struct fleet *fleet, const char *path, struct fault *f)
{
	struct buf text = {0};
	size_t number = 1;
	outcome o = input_read_text(path, FLEET_FILE_MAX, &text, f);
	for (size_t at = 0; o.ok && at < text.n; number++) {
		const char *line = (const char *)text.p + at;
		const char *end = memchr(line, '\n', text.n - at);
		size_t n = end ? (size_t)(end - line) : text.n - at;
		o = take_line(fleet, line, n, number, path, f);
		at += n + 1;
	}
	buf_free(&text);
	drop_repeated(fleet);
	if (o.ok && !fleet->count)
		return refuse(f, REASON_NOT_FOUND, "%s names no thing; mooringctl devices lists them",
			      input_name(path));
	return o;
}

static int no_memory(void)
{
	struct fault f;
	refuse(&f, REASON_NO_MEMORY, "no memory for the list");
	return ctl_fail(&f);
}

/* The devices of a page, by this member of each. */
static int take_names(struct fleet *fleet, const json_t *devices, const char *member)
{
	json_t *device;
	size_t i;
	json_array_foreach((json_t *)(uintptr_t)devices, i, device) {
		const char *name = api_text(device, member);
		if (!add(fleet, name, strlen(name)))
			return no_memory();
	}
	return EXIT_DONE;
}

/* All pages; `none` is what is wrong where they hold nothing. */
static int take_all(struct fleet *fleet, struct ctl *c, struct buf *target, api_take *take,
		    const struct fault *none)
{
	int code = api_pages(c, target, take, fleet);
	drop_repeated(fleet);
	return code != EXIT_DONE || fleet->count ? code : ctl_fail(none);
}

static int take_records(void *fleet, json_t *page)
{
	return take_names(fleet, api_array(page, "records"), "instance_id");
}

static int read_batch(struct fleet *fleet, struct ctl *attestation, const char *batch)
{
	struct buf target = {0};
	struct fault none;
	fleet->by_instance = true;
	buf_str(&target, "/v1/records");
	api_query(&target, "batch", batch);
	refuse(&none, REASON_NOT_FOUND,
	       "the attestation service has no record of batch \"%.40s\"; mooringctl records show lists its "
	       "records with their batches",
	       batch);
	return take_all(fleet, attestation, &target, take_records, &none);
}

static int take_devices(void *fleet, json_t *page)
{
	return take_names(fleet, api_array(page, "devices"), "thing");
}

static int read_line(struct fleet *fleet, struct ctl *c, const char *line, int64_t since)
{
	struct buf target = {0};
	struct fault none;
	buf_printf(&target, "/v1/admin/lines/%s/devices?since=%" PRId64, line, since);
	refuse(&none, REASON_NOT_FOUND,
	       "line %.8s worked on no device that was registered then or later; mooringctl "
	       "line list shows the lines",
	       line);
	return take_all(fleet, c, &target, take_devices, &none);
}

/* The attestation service is another service, with a CA and a key of its own. */
static int read_batch_of(struct fleet *fleet, const struct arguments *a)
{
	struct ctl attestation = {
		.endpoint = ctl_or_environment(argument(a, "attestation-endpoint"),
					       "MOORING_ATTESTATION_ENDPOINT"),
		.ca = ctl_or_environment(argument(a, "attestation-ca"), "MOORING_ATTESTATION_CA"),
		.key = ctl_or_environment(argument(a, "attestation-key"), "MOORING_ATTESTATION_KEY"),
	};
	if (!attestation.endpoint || !attestation.ca || !attestation.key)
		return ctl_usage(
			"whose batch? The attestation service keeps the records: --attestation-endpoint URL, "
			"--attestation-ca PEM and --attestation-key KEYFILE, or MOORING_ATTESTATION_ENDPOINT, "
			"_CA and _KEY, as for `records`");
	int code = read_batch(fleet, &attestation, argument(a, "batch"));
	admin_client_free(attestation.client);
	return code;
}

static int read_line_of(struct fleet *fleet, struct ctl *c, const struct arguments *a)
{
	char hex[LINE_HEX_SIZE];
	struct fault f = {0};
	int64_t since;
	if (!moment_argument(a, "since", 0, &since, &f).ok)
		return ctl_usage("%s", f.text);
	int code = lines_find(c, argument(a, "line"), hex);
	return code == EXIT_DONE ? read_line(fleet, c, hex, since) : code;
}

int fleet_read(struct fleet *fleet, struct ctl *c, const struct arguments *a)
{
	struct fault f = {0};
	int code = EXIT_DONE;
	if (argument(a, "batch"))
		code = read_batch_of(fleet, a);
	else if (argument(a, "line"))
		code = read_line_of(fleet, c, a);
	else if (!read_file(fleet, argument(a, "things"), &f).ok)
		code = ctl_fail(&f);
	return code;
}

json_t *fleet_list(const struct fleet *fleet, size_t from, size_t count)
{
	json_t *names = json_array();
	for (size_t i = from; i < from + count; i++)
		json_array_append_new(names, json_string(fleet->devices[i].name));
	return json_pack("{s:o}", fleet->by_instance ? "instance_ids" : "things", names);
}

/* ---- what the gateway knows ---- */

static bool take_device(struct fleet *fleet, struct fleet_device *d, const json_t *row)
{
	d->revoked = !strcmp(api_text(row, "state"), "revoked");
	d->known = strcmp(api_text(row, "state"), "unknown") != 0;
	d->thing = strdup(api_text(row, "thing"));
	fleet->revoked += d->revoked;
	fleet->unknown += !d->known;
	return d->thing;
}

static int look_up(struct fleet *fleet, struct ctl *c, size_t from, size_t count)
{
	json_t *answer = NULL, *row;
	size_t i, rows = 0;
	int code = api_call(c, "POST", "/v1/admin/lookups", fleet_list(fleet, from, count), &answer);
	if (code != EXIT_DONE)
		return code;
	json_array_foreach((json_t *)(uintptr_t)api_array(answer, "devices"), i, row)
		if (i < count && take_device(fleet, &fleet->devices[from + i], row))
			rows++;
	json_decref(answer);
	return rows == count ? EXIT_DONE : no_memory();
}

static int by_standing(const void *a, const void *b)
{
	const struct fleet_device *x = a, *y = b;
	return x->revoked != y->revoked ? y->revoked - x->revoked : strcmp(x->name, y->name);
}

int fleet_look_up(struct fleet *fleet, struct ctl *c)
{
	int code = EXIT_DONE;
	for (size_t at = 0; code == EXIT_DONE && at < fleet->count; at += FLEET_CALL_MAX) {
		size_t rest = fleet->count - at;
		code = look_up(fleet, c, at, rest < FLEET_CALL_MAX ? rest : FLEET_CALL_MAX);
	}
	if (code == EXIT_DONE)
		qsort(fleet->devices, fleet->count, sizeof *fleet->devices, by_standing);
	return code;
}

/* ---- what the brokers know ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sorted_things(const struct fleet *fleet)
{
	const char **things = calloc(fleet->count + 1, sizeof *things);
	for (size_t i = 0; things && i < fleet->count; i++)
		things[i] = fleet->devices[i].thing;
	if (things)
		qsort(things, fleet->count, sizeof *things, by_text);
	return things;
}

struct counting {
	struct fleet *fleet;
	const char **things; /* sorted */
};

static int count_sessions(void *arg, json_t *page)
{
	const struct counting *counting = arg;
	struct fleet *fleet = counting->fleet;
	json_t *session;
	size_t i;
	json_array_foreach((json_t *)(uintptr_t)api_array(page, "sessions"), i, session) {
		const char *thing = api_text(session, "thing");
		fleet->sessions += *thing && bsearch(&thing, counting->things, fleet->count,
						     sizeof *counting->things, by_text) != NULL;
	}
	if (!fleet->brokers)
		fleet->brokers = json_incref(json_object_get(page, "brokers"));
	return EXIT_DONE;
}

int fleet_count_sessions(struct fleet *fleet, struct ctl *c)
{
	struct counting counting = {fleet, sorted_things(fleet)};
	struct buf target = {0};
	buf_str(&target, "/v1/admin/sessions");
	int code = counting.things ? api_pages(c, &target, count_sessions, &counting) : no_memory();
	buf_free(&target);
	free(counting.things);
	return code;
}

/* One that was removed or revoked has no feed to be asked by, and may be serving all the same. */
static bool none_was_asked(const char *only)
{
	fprintf(stderr,
		"mooringctl: not complete: no broker was asked: none %s%s%shas a feed (`mooringctl brokers`)\n",
		only ? "named " : "", only ? only : "", only ? " " : "");
	return false;
}

bool fleet_all_answered(json_t *brokers, const char *only)
{
	static const struct {
		const char *state, *text;
	} causes[] = {
		{"silent", "has not answered within 2 s"},
		{"lost", "has no feed (`mooringctl brokers`)"},
		{"outdated", "has an older plugin, which cannot say"},
	};
	bool complete = true;
	json_t *broker;
	size_t i;
	if (!json_array_size(brokers))
		return none_was_asked(only);
	json_array_foreach(brokers, i, broker)
		for (size_t n = 0; n < sizeof causes / sizeof *causes; n++) {
			if (strcmp(api_text(broker, "state"), causes[n].state) != 0)
				continue;
			fprintf(stderr, "mooringctl: not complete: broker %s %s\n", api_text(broker, "name"),
				causes[n].text);
			complete = false;
		}
	return complete;
}
