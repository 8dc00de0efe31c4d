#include "api.h"

#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_encoded(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (isalnum(c) || strchr("-._~", c))
			buf_byte(out, c);
		else
			buf_printf(out, "%%%02X", c);
	}
}

void api_query(struct buf *target, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(target, "%c%s=", target->n && memchr(target->p, '?', target->n) ? '&' : '?', name);
	put_encoded(target, value);
}

char *api_target(const char *prefix, const char *name, const char *suffix)
{
	struct buf out = {0};
	buf_str(&out, prefix);
	put_encoded(&out, name);
	buf_str(&out, suffix);
	return buf_take_str(&out);
}

const char *api_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s ? s : "";
}

int64_t api_number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

bool api_flag(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

const json_t *api_array(const json_t *object, const char *key)
{
	const json_t *a = json_object_get(object, key);
	return json_is_array(a) ? a : NULL;
}

int api_print_json(json_t *answer)
{
	int rc = json_dumpf(answer, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(answer);
	return rc ? EXIT_REFUSED : EXIT_DONE;
}

int api_open(struct ctl *c)
{
	struct fault f = {0};
	if (c->client)
		return EXIT_DONE;
	if (!c->endpoint)
		return ctl_usage(
			"which service? --endpoint URL or MOORING_ENDPOINT says it, such as https://iot.example.com:8444");
	if (!c->ca)
		return ctl_usage(
			"whom to trust? --ca PEM or MOORING_CA names the certificate authority: for the gateway the OEM's root.pem");
	if (!c->key)
		return ctl_usage(
			"who asks? --key KEYFILE or MOORING_KEY names the access key: `mooringctl admin init` makes one "
			"on the service's own machine");
	struct admin_client_options options = {.endpoint = c->endpoint, .ca_file = c->ca, .key_file = c->key};
	if (admin_client_new(&options, &c->client, &f).ok)
		return EXIT_DONE;
	return f.reason == REASON_CONFIG ? ctl_usage("%s", f.text) : ctl_fail(&f);
}

static void say(const char *remedy)
{
	if (remedy[0])
		fprintf(stderr, "mooringctl: %s\n", remedy);
}

void api_say_remedy(const struct ctl *c)
{
	say(admin_client_remedy(c->client));
}

/* What may be behind a refusal whose sentence cannot know. */
static const char *remedy_of(int status, const char *detail, const char *request_id)
{
	if (status / 100 == 5 && !request_id[0])
		return "the edge answers for a daemon that does not: is it running? Its log says why not";
	if (status == 404 && !detail[0])
		return "devices, brokers and the log are at the gateway, records at the attestation service: is "
		       "--endpoint or MOORING_ENDPOINT the other one?";
	if (status == 401 && strstr(detail, "does not verify"))
		return "gateway and attestation service have keys of their own: is --key or MOORING_KEY of this one, "
		       "and has it not been ended? `mooringctl admin keys --state-dir DIR` on its machine lists them";
	return "";
}

/* A problem document (RFC 9457), or whatever else stands where one should. */
static int say_refusal(int status, struct bytes body)
{
	json_t *problem = json_loadb((const char *)body.p, body.n, 0, NULL);
	const char *code = api_text(problem, "code"), *detail = api_text(problem, "detail");
	const char *title = api_text(problem, "title"), *id = api_text(problem, "request_id");
	fprintf(stderr, "mooringctl: %s: %s%s%s%s\n", code[0] ? code : "unexpected answer",
		detail[0]  ? detail
		: title[0] ? title
			   : "no problem document",
		id[0] ? " (request " : "", id, id[0] ? ")" : "");
	if (!code[0])
		fprintf(stderr, "mooringctl: HTTP status %d\n", status);
	say(remedy_of(status, detail, id));
	json_decref(problem);
	return EXIT_REFUSED;
}

static int parse_answer(struct bytes body, json_t **answer)
{
	json_error_t e;
	*answer =
		body.n ? json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, &e) : json_object();
	if (*answer)
		return EXIT_DONE;
	fprintf(stderr, "mooringctl: the answer is not JSON: %s\n", body.n ? e.text : "out of memory");
	return EXIT_REFUSED;
}

int api_call(struct ctl *c, const char *method, const char *target, json_t *body, json_t **answer)
{
	struct httpc_answer http = {0};
	struct fault f = {0};
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
	json_decref(body);
	int code = api_open(c);
	if (code == EXIT_DONE && !target) {
		refuse(&f, REASON_NO_MEMORY, "no memory for the request");
		code = ctl_fail(&f);
	}
	if (code == EXIT_DONE && !admin_client_call(c->client, method, target,
						    text ? bytes_str(text) : bytes_of(NULL, 0), &http, &f)
					  .ok) {
		code = ctl_fail(&f);
		api_say_remedy(c);
	}
	if (code == EXIT_DONE)
		code = http.status / 100 == 2 ? parse_answer(http.body, answer)
					      : say_refusal(http.status, http.body);
	free(text);
	return code;
}

int api_show(struct ctl *c, char *target, api_print *print)
{
	json_t *answer = NULL;
	int code = api_call(c, "GET", target, NULL, &answer);
	free(target);
	if (code != EXIT_DONE)
		return code;
	if (c->json)
		return api_print_json(answer);
	print(c, answer);
	json_decref(answer);
	return EXIT_DONE;
}

static int get_page(struct ctl *c, const struct buf *list, const char *after, json_t **page)
{
	struct buf target = {0};
	buf_bytes(&target, buf_view(list));
	api_query(&target, "after", after);
	char *text = list->failed ? NULL : buf_take_str(&target);
	buf_free(&target);
	int code = api_call(c, "GET", text, NULL, page);
	free(text);
	return code;
}

int api_pages(struct ctl *c, struct buf *target, api_take *take, void *arg)
{
	json_t *page = NULL;
	const char *after = NULL;
	char limit[16];
	int code;
	snprintf(limit, sizeof limit, "%d", API_PAGE_MAX);
	api_query(target, "limit", limit);
	do {
		json_t *next = NULL;
		code = get_page(c, target, after, &next);
		json_decref(page);
		page = next;
		if (code == EXIT_DONE)
			code = take(arg, page);
		after = api_text(page, "next");
	} while (code == EXIT_DONE && *after);
	json_decref(page);
	buf_free(target);
	return code;
}

void api_print_more(const json_t *page)
{
	if (!api_text(page, "next")[0])
		return;
	fputs("more: --after ", stdout);
	text_print(api_text(page, "next"));
	putchar('\n');
}
