#include "tests/unit/provenance_site.h"

#include "common/file.h"
#include "gateway/provenance/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the class of evidence that names none ---- */

#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"

enum { PARTS, REST };

struct rules {
	struct provenance_class items[2];
	struct provenance_classes classes;
	struct evidence cose, token, other;
};

static void add_variant(struct provenance_class *c, size_t stages, bool raises)
{
	struct chain_variant *v = &c->rules.variants[c->rules.variant_count++];
	*v = (struct chain_variant){.count = stages, .raises_generation = raises};
	for (size_t i = 0; i < stages; i++)
		v->stages[i] = (uint8_t)(i + 1);
}

static void add_line(struct provenance_class *c, uint8_t line)
{
	memset(c->lines[c->line_count++], line, KEY_ID_SIZE);
}

/* Two classes of one programme that ask the same: one for an implementation ID, one for the rest. */
static void begin(struct rules *r)
{
	*r = (struct rules){.cose = {.type = EVIDENCE_COSE_CSR},
			    .token = {.type = EVIDENCE_PSA_TOKEN, .implementation_id = {7}},
			    .other = {.type = EVIDENCE_PSA_TOKEN, .implementation_id = {8}}};
	r->classes = (struct provenance_classes){r->items, 2};
	r->items[PARTS].implementation_id[0] = 7;
	r->items[REST].any = true;
	for (size_t i = 0; i < 2; i++) {
		r->items[i].mode = CLASS_REQUIRED;
		add_variant(&r->items[i], 3, false);
	}
}

static bool is_taken(const struct rules *r)
{
	assert_ptr_equal(provenance_class_of(&r->classes, &r->token), &r->items[PARTS]);
	assert_ptr_equal(provenance_class_of(&r->classes, &r->other), &r->items[REST]);
	return provenance_class_of(&r->classes, &r->cose) == &r->items[REST];
}

static void test_evidence_that_names_no_class_is_of_the_rest_that_asks_as_much(void **state)
{
	struct rules r;
	(void)state;
	begin(&r);
	assert_true(is_taken(&r));
	add_variant(&r.items[PARTS], 2, false);
	assert_true(is_taken(&r));
	add_line(&r.items[REST], 1);
	assert_true(is_taken(&r));
	add_variant(&r.items[REST], 1, false);
	assert_false(is_taken(&r));
	r.items[PARTS].mode = CLASS_OPTIONAL;
	assert_true(is_taken(&r));
	r.items[PARTS].mode = CLASS_OFF;
	assert_true(is_taken(&r));
}

static void test_evidence_that_names_no_class_escapes_no_mode(void **state)
{
	struct rules r;
	(void)state;
	begin(&r);
	r.items[REST].mode = CLASS_OPTIONAL;
	assert_false(is_taken(&r));
}

static void test_evidence_that_names_no_class_escapes_no_stage(void **state)
{
	struct rules r;
	(void)state;
	begin(&r);
	add_variant(&r.items[REST], 2, false);
	assert_false(is_taken(&r));
	begin(&r);
	add_variant(&r.items[PARTS], 4, false);
	add_variant(&r.items[REST], 4, true);
	assert_false(is_taken(&r));
}

static void test_evidence_that_names_no_class_escapes_no_list_of_lines(void **state)
{
	struct rules r;
	(void)state;
	begin(&r);
	add_line(&r.items[PARTS], 1);
	assert_false(is_taken(&r));
	add_line(&r.items[REST], 1);
	assert_true(is_taken(&r));
	add_line(&r.items[REST], 2);
	assert_false(is_taken(&r));
}

static void test_chains_of_another_programme_are_none_of_that_class(void **state)
{
	struct rules r;
	(void)state;
	begin(&r);
	add_line(&r.items[PARTS], 1);
	add_variant(&r.items[REST], 2, false);
	r.items[REST].programme.id[0] = 1;
	assert_true(is_taken(&r));
}

/* ---- two files of one programme ---- */

static void write_class(const char *folder, const char *name, const struct programme *p)
{
	char path[512], programme[512];
	struct buf text = {0};
	struct fault f;
	snprintf(path, sizeof path, "%s/%s.json", folder, name);
	snprintf(programme, sizeof programme, "%s/%s-programme.json", folder, name);
	accepted(programme_save(programme, p, &f), &f, "a programme");
	buf_printf(&text,
		   "{\"class\": \"%s\", \"programme\": \"%s\", \"mode\": \"required\", \"variants\": "
		   "[{\"name\": \"new\", \"stages\": [1]}]%s}",
		   name, programme, *name == 'a' ? "" : ", \"implementation_id\": \"" ZEROES "\"");
	accepted(file_replace(path, buf_view(&text), 0644, &f), &f, "a class");
	buf_free(&text);
}

static outcome load_two(const char *folder, struct fault *f)
{
	char a[512], b[512];
	struct provenance_classes classes;
	snprintf(a, sizeof a, "%s/a.json", folder);
	snprintf(b, sizeof b, "%s/b.json", folder);
	outcome o = provenance_classes_load(&(struct config_strings){(char *[]){a, b}, 2}, &classes, f);
	provenance_classes_free(&classes);
	return o;
}

static void remove_classes(const char *folder)
{
	static const char *const names[] = {"a.json", "a-programme.json", "b.json", "b-programme.json"};
	char path[512];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(folder), 0);
}

static void test_a_programme_has_the_same_keys_in_every_class(void **state)
{
	char folder[] = "/tmp/mooring-classes-XXXXXX";
	struct site s;
	struct fault f;
	struct programme p = {.name = "thermometer"};
	(void)state;
	site_make(&s, 1);
	assert_non_null(mkdtemp(folder));
	memcpy(p.id, s.programme, PROGRAMME_ID_SIZE);
	assert_true(provenance_point(s.programme_key, p.programme_key));
	assert_true(provenance_point(s.authority, p.line_authority_key));
	assert_true(provenance_point(s.register_key, p.register_key));
	write_class(folder, "a", &p);
	write_class(folder, "b", &p);
	accepted(load_two(folder, &f), &f, "two classes of one programme");
	assert_true(provenance_point(s.rot, p.line_authority_key));
	write_class(folder, "b", &p);
	assert_false(load_two(folder, &f).ok);
	assert_non_null(strstr(f.text, "class a has other keys for programme thermometer"));
	p.id[0] ^= 1;
	write_class(folder, "b", &p);
	accepted(load_two(folder, &f), &f, "two classes of two programmes");
	remove_classes(folder);
	site_free(&s);
}

/* ---- the book ---- */

static void apply(struct provenance *p, const struct store_line *line)
{
	struct fault f;
	const struct store_added added = {.lines_changed = true, .lines = line, .line_count = 1};
	accepted(provenance_apply(p, &added, &f), &f, "a change of a line");
}

static struct store_line sign_line(const struct site *s, size_t i, struct buf *object)
{
	struct fault f;
	struct store_line line = {.id = (int64_t)i + 1, .programme = 1, .seq = 1};
	accepted(line_record_sign(object, &s->lines[i], s->authority, &f), &f, "a line record");
	memcpy(line.line, s->line_ids[i], KEY_ID_SIZE);
	line.record = buf_view(object);
	return line;
}

/* Each change is heard of in the loop that asked for it, so that a later one may come before. */
static void test_a_book_that_lacks_a_change_is_not_as_new_as_one_after_it(void **state)
{
	struct site s;
	struct buf objects[2] = {0};
	struct provenance *p;
	struct fault f;
	(void)state;
	site_make(&s, 2);
	accepted(provenance_load(&(struct config_strings){0}, &p, &f), &f, "no classes");
	struct store_line suspended = sign_line(&s, 0, &objects[0]), added = sign_line(&s, 1, &objects[1]);
	suspended.held = true;
	apply(p, &added);
	struct book *b = provenance_book(p);
	assert_int_equal(b->lines_state, 1);
	book_release(b);
	apply(p, &suspended);
	b = provenance_book(p);
	assert_int_equal(b->lines_state, 2);
	assert_int_equal(book_line(b, 1, s.line_ids[0])->record.state, LINE_SUSPENDED);
	book_release(b);
	provenance_free(p);
	buf_free(&objects[0]);
	buf_free(&objects[1]);
	site_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evidence_that_names_no_class_is_of_the_rest_that_asks_as_much),
		cmocka_unit_test(test_evidence_that_names_no_class_escapes_no_mode),
		cmocka_unit_test(test_evidence_that_names_no_class_escapes_no_stage),
		cmocka_unit_test(test_evidence_that_names_no_class_escapes_no_list_of_lines),
		cmocka_unit_test(test_chains_of_another_programme_are_none_of_that_class),
		cmocka_unit_test(test_a_programme_has_the_same_keys_in_every_class),
		cmocka_unit_test(test_a_book_that_lacks_a_change_is_not_as_new_as_one_after_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
