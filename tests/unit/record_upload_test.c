/* Records to an attestation service that is not ours: what it is
 * sent, signed, and what comes of its answers. */
#include "common/record_upload.h"

#include "common/clock.h"
#include "common/file.h"
#include "tls_site.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char SECRET[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCD";

enum { BATCHES_MAX = 8 };

static struct tls_site site;
static char ca[128], key_file[128], records[128], endpoint[64];

/* What the service saw: bodies by batch number, first arrival counts. */
static struct {
	char *body[BATCHES_MAX + 1];
	size_t calls, bad_signatures, largest;
	size_t unavailable; /* answers 503 this many times */
	size_t lost;	    /* takes the batch and answers 503 all the same, this many times */
	size_t refuse;	    /* this batch is refused */
	char import[80];
} service;

static char *respond(int status, const char *headers, const char *body)
{
	struct buf b = {0};
	buf_printf(&b, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body), headers,
		   body);
	return buf_take_str(&b);
}

/* Splits a copy of the head into headers; the strings live as long as the copy. */
static size_t split_head(char *copy, struct sigv4_header *out, size_t room)
{
	size_t n = 0;
	char *save, *line = strtok_r(copy, "\r\n", &save);
	while ((line = strtok_r(NULL, "\r\n", &save)) && n < room) {
		char *colon = strchr(line, ':');
		if (!colon)
			break;
		*colon = '\0';
		out[n++] = (struct sigv4_header){line, colon + 1 + strspn(colon + 1, " ")};
	}
	return n;
}

static bool is_signed(const char *head, const char *body)
{
	char *copy = strndup(head, (size_t)(body - head)), target[256], method[8];
	struct sigv4_header headers[32];
	struct sigv4_claim claim;
	struct fault f;
	sscanf(head, "%7s %255s", method, target);
	const struct sigv4_request r = {
		.method = method,
		.raw_path = target,
		.raw_query = "",
		.headers = headers,
		.header_count = split_head(copy, headers, 32),
		.body = bytes_str(body),
	};
	bool ok = sigv4_claim_parse(&r, &claim, &f).ok && !strcmp(claim.service, "mooring") &&
		  !strcmp(claim.region, "mooring-1") && !strcmp(claim.key_id, "MOORTEST1") &&
		  sigv4_verify(&r, &claim, SECRET, clock_wall_s(), &f).ok;
	free(copy);
	return ok;
}

static char *count_batch(unsigned n, const char *body)
{
	char text[128];
	size_t lines = 0;
	for (const char *p = body; (p = strchr(p, '\n')); p++)
		lines++;
	bool known = service.body[n] != NULL;
	if (known && strcmp(service.body[n], body))
		return respond(409, "", "{\"code\":\"conflict\",\"request_id\":\"R7\"}");
	if (!known)
		service.body[n] = strdup(body);
	if (service.lost) {
		service.lost--;
		return respond(503, "Retry-After: 1\r\n", "{\"code\":\"try-later\"}");
	}
	/* As the service does: a batch again has the answer of the first time, marked. */
	snprintf(text, sizeof text,
		 "{\"import\":\"x\",\"number\":%u,\"records\":%zu,\"inserted\":%zu,\"unchanged\":0,"
		 "\"repeated\":%s}",
		 n, lines, lines, known ? "true" : "false");
	return respond(200, "", text);
}

static char *serve(const char *head, const char *body, const char *client)
{
	unsigned n;
	(void)client;
	service.calls++;
	if (!is_signed(head, body))
		service.bad_signatures++;
	if (strlen(body) > service.largest)
		service.largest = strlen(body);
	if (sscanf(head, "POST /v1/records/imports/%79[^/]/batches/%u", service.import, &n) != 2 || n < 1 ||
	    n > BATCHES_MAX)
		return respond(404, "", "{\"code\":\"not-found\"}");
	if (service.unavailable) {
		service.unavailable--;
		return respond(503, "Retry-After: 1\r\n", "{\"code\":\"try-later\"}");
	}
	if (n == service.refuse)
		return respond(
			400, "",
			"{\"code\":\"field-invalid\",\"detail\":\"line 2: model\",\"request_id\":\"R8\"}");
	return count_batch(n, body);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void write_records(size_t count, size_t width)
{
	FILE *file = fopen(records, "w");
	assert_non_null(file);
	for (size_t i = 0; i < count; i++)
		fprintf(file, "{\"n\":%06zu,\"fill\":\"%0*d\"}\n", i, (int)width - 24, 0);
	assert_int_equal(fclose(file), 0);
}

static int open_site(void **state)
{
	(void)state;
	char key[256];
	site_open(&site, serve);
	site_path(&site, "ca.pem", ca);
	site_path(&site, "key.json", key_file);
	site_path(&site, "records.ndjson", records);
	snprintf(endpoint, sizeof endpoint, "https://127.0.0.1:%d", site.port);
	snprintf(key, sizeof key,
		 "{\"access_key_id\":\"MOORTEST1\",\"secret_access_key\":\"%s\",\"region\":\"mooring-1\"}",
		 SECRET);
	write_text(key_file, key, 0600);
	return 0;
}

static int close_site(void **state)
{
	(void)state;
	unlink(key_file);
	unlink(records);
	site_close(&site);
	return 0;
}

static void forget(void)
{
	for (size_t i = 0; i <= BATCHES_MAX; i++)
		free(service.body[i]);
	memset(&service, 0, sizeof service);
}

static int fresh(void **state)
{
	(void)state;
	forget();
	return 0;
}

static outcome upload(const char *import_id, struct record_upload_progress *p, struct fault *f)
{
	const struct admin_client_options options = {endpoint, ca, key_file};
	struct admin_client *c;
	outcome r = admin_client_new(&options, &c, f);
	if (!r.ok)
		return r;
	r = record_upload(c, records, import_id, NULL, NULL, p, f);
	admin_client_free(c);
	return r;
}

static void uploads(const char *import_id, struct record_upload_progress *p)
{
	struct fault f = {0};
	if (!upload(import_id, p, &f).ok)
		fail_msg("%s: %s", reason_code(f.reason), f.text);
}

static void test_file_arrives_whole_in_signed_batches_of_256_kib(void **state)
{
	(void)state;
	struct record_upload_progress p;
	struct buf all = {0}, file = {0};
	struct fault f;
	write_records(2000, 400);
	uploads("import-1", &p);
	assert_int_equal(p.batches, 4);
	assert_int_equal(p.records, 2000);
	assert_int_equal(p.inserted, 2000);
	assert_int_equal(p.bytes, p.bytes_total);
	assert_int_equal(service.bad_signatures, 0);
	assert_int_equal(service.calls, 4);
	assert_true(service.largest <= RECORD_BATCH_MAX && service.largest > RECORD_BATCH_MAX - 400);
	assert_string_equal(service.import, "import-1");
	for (size_t n = 1; n <= 4; n++)
		buf_str(&all, service.body[n]);
	assert_true(file_read(records, 1 << 22, &file, &f).ok);
	assert_true(bytes_equal(buf_view(&all), buf_view(&file)));
	buf_free(&all);
	buf_free(&file);
}

static void test_same_import_again_records_nothing_twice(void **state)
{
	(void)state;
	struct record_upload_progress p;
	char first[IMPORT_ID_SIZE], second[IMPORT_ID_SIZE];
	struct fault f;
	write_records(1000, 400);
	assert_true(record_upload_import_id(records, first, &f).ok);
	uploads(first, &p);
	assert_true(record_upload_import_id(records, second, &f).ok);
	assert_string_equal(first, second);
	uploads(second, &p);
	assert_int_equal(p.inserted, 0);
	assert_int_equal(p.unchanged, 1000);
	write_records(1001, 400);
	assert_true(record_upload_import_id(records, second, &f).ok);
	assert_string_not_equal(first, second);
}

static void test_batch_whose_answer_was_lost_counts_as_new(void **state)
{
	(void)state;
	struct record_upload_progress p;
	write_records(10, 100);
	service.lost = 1;
	uploads("import-lost", &p);
	assert_int_equal(service.calls, 2);
	assert_int_equal(p.inserted, 10);
	assert_int_equal(p.unchanged, 0);
}

static void test_unavailable_service_is_asked_again(void **state)
{
	(void)state;
	struct record_upload_progress p;
	write_records(3, 100);
	service.unavailable = 1;
	int64_t before = clock_monotonic_ms();
	uploads("busy", &p);
	assert_true(clock_monotonic_ms() - before >= 1000);
	assert_int_equal(p.records, 3);
	assert_int_equal(service.calls, 2);
	assert_int_equal(service.bad_signatures, 0);
}

static void test_refusal_names_batch_line_code_and_request(void **state)
{
	(void)state;
	struct record_upload_progress p;
	struct fault f = {0};
	write_records(2000, 400);
	service.refuse = 2;
	assert_false(upload("import-2", &p, &f).ok);
	assert_int_equal(f.reason, REASON_BAD_FIELD);
	assert_non_null(strstr(f.text, "batch 2"));
	assert_non_null(strstr(f.text, "field-invalid: line 2: model (request R8)"));
	assert_int_equal(p.batches, 1);
	assert_true(p.bytes < p.bytes_total);
	assert_int_equal(service.calls, 2);
}

static void test_last_line_needs_no_newline_and_empty_lines_are_no_records(void **state)
{
	(void)state;
	struct record_upload_progress p;
	write_text(records, "{\"n\":1}\n\n  \n{\"n\":2}", 0644);
	uploads("gaps", &p);
	assert_string_equal(service.body[1], "{\"n\":1}\n{\"n\":2}\n");
	write_text(records, "", 0644);
	uploads("nothing", &p);
	assert_int_equal(p.batches, 0);
}

static void refuses_file(const char *import_id, enum reason reason)
{
	struct record_upload_progress p;
	struct fault f = {0};
	assert_false(upload(import_id, &p, &f).ok);
	assert_int_equal(f.reason, reason);
	assert_int_equal(service.calls, 0);
}

static void test_what_cannot_be_sent_is_refused_before_it_is(void **state)
{
	(void)state;
	write_records(1, 400);
	refuses_file("", REASON_BAD_FIELD);
	refuses_file("../other", REASON_BAD_FIELD);
	refuses_file("00000000001111111111222222222233333333334444444444555555555566666", REASON_BAD_FIELD);
	write_records(1, RECORD_LINE_MAX + 10);
	refuses_file("long", REASON_TOO_LARGE);
	unlink(records);
	refuses_file("gone", REASON_IO);
}

static void refuses_key(const char *text, mode_t mode, enum reason reason)
{
	char path[128];
	struct admin_client *c;
	struct fault f = {0};
	site_path(&site, "bad.json", path);
	write_text(path, text, mode);
	const struct admin_client_options options = {endpoint, ca, path};
	assert_false(admin_client_new(&options, &c, &f).ok);
	assert_int_equal(f.reason, reason);
	assert_non_null(strstr(f.text, "bad.json"));
	unlink(path);
}

static void test_key_file_that_is_none_is_refused(void **state)
{
	(void)state;
	refuses_key("{\"access_key_id\":\"A\",\"secret_access_key\":\"s\",\"region\":\"r\"}", 0644,
		    REASON_IO);
	refuses_key("{\"access_key_id\":\"A\"", 0600, REASON_BAD_JSON);
	refuses_key("{\"access_key_id\":\"A\",\"region\":\"r\"}", 0600, REASON_BAD_FIELD);
	refuses_key("{\"access_key_id\":\"\",\"secret_access_key\":\"s\",\"region\":\"r\"}", 0600,
		    REASON_BAD_FIELD);
}

static void test_endpoint_is_an_https_origin_and_nothing_more(void **state)
{
	(void)state;
	static const char *const wrong[] = {"http://127.0.0.1",	 "https://",	   "https://host/",
					    "https://host/path", "https://a@host", "host"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct admin_client *c;
		struct fault f = {0};
		const struct admin_client_options options = {wrong[i], ca, key_file};
		assert_false(admin_client_new(&options, &c, &f).ok);
		assert_int_equal(f.reason, REASON_CONFIG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_file_arrives_whole_in_signed_batches_of_256_kib, fresh),
		cmocka_unit_test_setup(test_same_import_again_records_nothing_twice, fresh),
		cmocka_unit_test_setup(test_batch_whose_answer_was_lost_counts_as_new, fresh),
		cmocka_unit_test_setup(test_unavailable_service_is_asked_again, fresh),
		cmocka_unit_test_setup(test_refusal_names_batch_line_code_and_request, fresh),
		cmocka_unit_test_setup(test_last_line_needs_no_newline_and_empty_lines_are_no_records, fresh),
		cmocka_unit_test_setup(test_what_cannot_be_sent_is_refused_before_it_is, fresh),
		cmocka_unit_test_setup(test_key_file_that_is_none_is_refused, fresh),
		cmocka_unit_test_setup(test_endpoint_is_an_https_origin_and_nothing_more, fresh),
	};
	int failed = cmocka_run_group_tests(tests, open_site, close_site);
	forget();
	return failed;
}
