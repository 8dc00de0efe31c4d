/*
 * Any bytes as a provenance chain, checked in a world whose two lines and one register have the keys 2, 3 and 4 on
 * P-256, so that a corpus can hold chains that are accepted.
 */
#include "common/provenance/chain_check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* twice, three times and four times the base point, X || Y (SEC 2, 2.4.2) */
static const char points[3][2 * P256_POINT_SIZE + 1] = {
	"7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"
	"07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1",
	"5ecbe4d1a6330a44c8f7ef951d4bf165e6c6b721efada985fb41661bc6e7fd6c"
	"8734640c4998ff7e374b06ce1a64a2ecd82ab036384fb83d9a79b127a27d5032",
	"e2534a3532d08fbba02dde659ee62bd0031fe2db785596ef509302446b030852"
	"e0f1575a4c633cc719dfee5fda862d764efc96c3f30ee0055c42c23f184ed8c6",
};
enum { LINES = 2, REGISTER = 2, TIME = 1700000000 };

static struct line_record lines[LINES];
static struct work_order orders[LINES];
static uint8_t register_key[P256_POINT_SIZE], line_ids[LINES][KEY_ID_SIZE];
/* the device is the one of instance ID 01 00… */
static const uint8_t instance_id[INSTANCE_ID_SIZE] = {1};
static struct chain_rules rules = {
	.variants = {{.stages = {10, 20}, .count = 2}, {.stages = {10, 20, 30}, .count = 3}},
	.variant_count = 2};

static const struct line_record *find_line(void *arg, const uint8_t key_id[KEY_ID_SIZE])
{
	(void)arg;
	for (size_t i = 0; i < LINES; i++)
		if (!memcmp(line_ids[i], key_id, KEY_ID_SIZE))
			return &lines[i];
	return NULL;
}

static const struct work_order *find_order(void *arg, const uint8_t line[KEY_ID_SIZE], const char *batch,
					   int64_t stage)
{
	(void)arg;
	for (size_t i = 0; i < LINES; i++)
		if (!memcmp(orders[i].line, line, KEY_ID_SIZE) && !strcmp(orders[i].batch, batch) &&
		    orders[i].stage == stage)
			return &orders[i];
	return NULL;
}

static bool find_time(void *arg, const uint8_t statement[SHA256_SIZE], int64_t *time)
{
	(void)arg;
	*time = TIME + statement[0] % 2;
	return statement[1] % 4 != 0;
}

static void make_point(const char *hex, uint8_t point[P256_POINT_SIZE])
{
	size_t n;
	if (!hex_decode(hex, strlen(hex), point, P256_POINT_SIZE, &n))
		abort();
}

static void make_world(void)
{
	make_point(points[REGISTER], register_key);
	for (size_t i = 0; i < LINES; i++) {
		lines[i] = (struct line_record){.stages = {(uint8_t)(10 * (i + 1))},
						.stage_count = 1,
						.not_after = PROVENANCE_TIME_MAX,
						.state = LINE_ACTIVE};
		make_point(points[i], lines[i].key);
		provenance_key_id(lines[i].key, line_ids[i]);
		orders[i] = (struct work_order){.batch = "B",
						.stage = lines[i].stages[0],
						.quota = 100,
						.not_after = PROVENANCE_TIME_MAX,
						.previous_count = i};
		memcpy(orders[i].line, line_ids[i], KEY_ID_SIZE);
		memcpy(orders[i].previous[0], line_ids[0], KEY_ID_SIZE);
	}
}

static void check_parts(struct bytes in)
{
	struct chain_parts parts;
	struct buf again = {0};
	if (!chain_take_apart(in, &parts, NULL).ok)
		abort();
	chain_write(&again, &parts);
	if (!bytes_equal(in, buf_view(&again)))
		abort();
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct chain_world world = {.line = find_line,
						 .order = find_order,
						 .registered = find_time,
						 .register_key = register_key};
	struct bytes in = bytes_of(data, size);
	struct chain c;
	struct chain_shown shown;
	struct fault f = {0};
	if (!lines[0].stage_count)
		make_world();
	if (!chain_read(in, &c, &f).ok) {
		if (f.reason == REASON_NONE || f.text[0] == '\0')
			abort();
		return 0;
	}
	check_parts(in);
	outcome o = chain_check(&c, instance_id, &rules, &world, &shown, &f);
	if (o.ok != (shown.variant != NULL) || shown.honest > c.count || (o.ok && shown.honest < c.count) ||
	    (!o.ok && (f.reason == REASON_NONE || f.text[0] == '\0')))
		abort();
	return 0;
}
