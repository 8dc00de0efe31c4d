#include "gateway/provenance/classes.h"

#include "tests/unit/vectors.h"

#define TEMPLATE "config/class-thermometer.json"
#define ID "4242424242424242424242424242424242424242424242424242424242424242"
#define NAME "\"class\":\"thermometer\","
#define WHOSE "\"implementation_id\":\"" ID "\","
#define MODE "\"mode\":\"required\","
#define VARIANTS "\"variants\":[{\"name\":\"new\",\"stages\":[1,2,3]}]"

static char folder[] = "/tmp/mooring-classes-XXXXXX";
static char paths[2][64], programme_path[64], programme_member[96];

static void write_text(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static int set_up(void **state)
{
	struct programme p = {.name = "Thermo", .id = {7}};
	struct fault f;
	uint8_t *points[] = {p.programme_key, p.line_authority_key, p.register_key};
	(void)state;
	assert_non_null(mkdtemp(folder));
	for (size_t i = 0; i < 2; i++)
		snprintf(paths[i], sizeof paths[i], "%s/%zu.json", folder, i);
	snprintf(programme_path, sizeof programme_path, "%s/programme.json", folder);
	snprintf(programme_member, sizeof programme_member, "\"programme\":\"%s\",", programme_path);
	for (size_t i = 0; i < 3; i++) {
		EVP_PKEY *key = p256_key_generate();
		assert_true(provenance_point(key, points[i]));
		EVP_PKEY_free(key);
	}
	assert_true(programme_save(programme_path, &p, &f).ok);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(paths[0]);
	unlink(paths[1]);
	unlink(programme_path);
	return rmdir(folder);
}

static outcome load(size_t count, struct provenance_classes *out, struct fault *f)
{
	char *items[] = {paths[0], paths[1]};
	const struct config_strings files = {.items = items, .count = count};
	return provenance_classes_load(&files, out, f);
}

/* The text, with the path of the programme in the place of %s. */
static void write_class(size_t i, const char *format)
{
	char text[4096];
	const char *at = strstr(format, "%s");
	assert_non_null(at);
	snprintf(text, sizeof text, "%.*s%s%s", (int)(at - format), format, programme_member, at + 2);
	write_text(paths[i], text);
}

/* The file, and the place in it, begin the sentence. */
static void refused_files(size_t count, const char *place)
{
	struct provenance_classes c;
	struct fault f = {0};
	char begins[256];
	snprintf(begins, sizeof begins, "%s: %s", paths[count - 1], place);
	assert_false(load(count, &c, &f).ok);
	if (f.reason != REASON_CONFIG || strncmp(f.text, begins, strlen(begins)) != 0)
		fail_msg("%s, not %s: %s", begins, reason_code(f.reason), f.text);
	assert_null(c.items);
}

static void refused(const char *format, const char *place)
{
	write_class(0, format);
	refused_files(1, place);
}

static void loaded(const char *format, struct provenance_classes *c)
{
	struct fault f;
	write_class(0, format);
	if (!load(1, c, &f).ok)
		fail_msg("%s", f.text);
}

/* ---- what is taken ---- */

static void test_every_member_is_taken(void **state)
{
	struct provenance_classes c;
	(void)state;
	loaded("{" NAME WHOSE "%s\"mode\":\"optional\",\"variants\":[{\"name\":\"new\",\"stages\":[1,2,255]},"
	       "{\"name\":\"again\",\"stages\":[1,2,3,4],\"raises_generation\":true}],"
	       "\"lines\":[\"00112233445566778899aabbccddeeff\"],\"freeze_on_equivocation\":false}",
	       &c);
	const struct provenance_class *one = c.items;
	assert_int_equal(c.count, 1);
	assert_string_equal(one->name, "thermometer");
	assert_false(one->any);
	assert_int_equal(one->implementation_id[31], 0x42);
	assert_int_equal(one->mode, CLASS_OPTIONAL);
	assert_int_equal(one->rules.programme[0], 7);
	assert_int_equal(one->rules.variant_count, 2);
	assert_int_equal(one->rules.variants[0].stages[2], 255);
	assert_false(one->rules.variants[0].raises_generation);
	assert_true(one->rules.variants[1].raises_generation);
	assert_string_equal(one->variant_names[1], "again");
	assert_false(one->freeze);
	assert_true(provenance_class_has_line(one, one->lines[0]));
	assert_false(provenance_class_has_line(one, (const uint8_t[KEY_ID_SIZE]){1}));
	provenance_classes_free(&c);
}

static void test_what_is_left_out_is_the_wider_class_and_the_stricter_rule(void **state)
{
	struct provenance_classes c;
	(void)state;
	loaded("{" NAME "%s" MODE VARIANTS "}", &c);
	assert_true(c.items->any);
	assert_true(c.items->freeze);
	assert_true(provenance_class_has_line(c.items, (const uint8_t[KEY_ID_SIZE]){1}));
	provenance_classes_free(&c);
}

static void test_the_template_loads_beside_a_programme(void **state)
{
	struct provenance_classes c;
	struct fault f;
	struct buf text = read_path(TEMPLATE);
	(void)state;
	buf_byte(&text, 0);
	write_text(paths[0], (char *)text.p);
	if (!load(1, &c, &f).ok)
		fail_msg("%s", f.text);
	assert_int_equal(c.items->mode, CLASS_REQUIRED);
	assert_int_equal(c.items->rules.programme[0], 7);
	assert_true(c.items->freeze);
	provenance_classes_free(&c);
	buf_free(&text);
}

static void test_no_file_is_no_class(void **state)
{
	struct provenance_classes c;
	struct fault f;
	(void)state;
	assert_true(load(0, &c, &f).ok);
	assert_int_equal(c.count, 0);
	provenance_classes_free(&c);
}

/* ---- what is refused ---- */

static void test_a_wrong_name_or_implementation_is_refused_with_its_place(void **state)
{
	(void)state;
	refused("{%s" MODE VARIANTS "}", "class: ");
	refused("{\"class\":\"\",%s" MODE VARIANTS "}", "class: ");
	refused("{\"class\":7,%s" MODE VARIANTS "}", "class: ");
	refused("{\"class\":\"a\\nb\",%s" MODE VARIANTS "}", "class: ");
	refused("{\"class\":\"" ID "4\",%s" MODE VARIANTS "}", "class: ");
	refused("{" NAME "\"implementation_id\":\"42\",%s" MODE VARIANTS "}", "implementation_id: ");
	refused("{" NAME "\"implementation_id\":null,%s" MODE VARIANTS "}", "implementation_id: ");
}

static void test_a_mode_of_another_word_is_refused(void **state)
{
	(void)state;
	refused("{" NAME "%s" VARIANTS "}", "mode: ");
	refused("{" NAME "%s\"mode\":\"Required\"," VARIANTS "}", "mode: ");
	refused("{" NAME "%s\"mode\":true," VARIANTS "}", "mode: ");
}

static void test_a_programme_that_cannot_be_read_is_refused(void **state)
{
	(void)state;
	write_text(paths[0], "{" NAME MODE VARIANTS "}");
	refused_files(1, "programme: ");
	write_text(paths[0], "{" NAME "\"programme\":\"/nonexistent/programme.json\"," MODE VARIANTS "}");
	refused_files(1, "programme: open /nonexistent/programme.json: ");
}

static void test_variants_are_refused_with_their_place(void **state)
{
	static const struct {
		const char *variants, *place;
	} rows[] = {
		{"[]", "variants: "},
		{"{}", "variants: "},
		{"[1,2,3,4,5,6,7,8,9]", "variants: "},
		{"[1]", "variants[0]: an object"},
		{"[{\"stages\":[1]}]", "variants[0]: name: "},
		{"[{\"name\":\"a\",\"stages\":[1],\"x\":1}]", "variants[0]: "},
		{"[{\"name\":\"a\"}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[]}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[0]}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[256]}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[1.0]}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[2,2]}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[2,1]}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[1,2,3,4,5,6,7,8,9]}]", "variants[0]: stages: "},
		{"[{\"name\":\"a\",\"stages\":[1]},{\"name\":\"b\",\"stages\":[1],\"raises_generation\":1}]",
		 "variants[1]: raises_generation: "},
	};
	char format[512];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(format, sizeof format, "{" NAME "%%s" MODE "\"variants\":%s}", rows[i].variants);
		refused(format, rows[i].place);
	}
	refused("{" NAME "%s\"mode\":\"off\"}", "variants: ");
}

static void test_lines_and_freezing_are_refused_with_their_place(void **state)
{
	(void)state;
	refused("{" NAME "%s" MODE VARIANTS ",\"lines\":[]}", "lines: ");
	refused("{" NAME "%s" MODE VARIANTS ",\"lines\":{}}", "lines: ");
	refused("{" NAME "%s" MODE VARIANTS ",\"lines\":[\"42\"]}", "lines: ");
	refused("{" NAME "%s" MODE VARIANTS ",\"lines\":[7]}", "lines: ");
	refused("{" NAME "%s" MODE VARIANTS ",\"freeze_on_equivocation\":0}", "freeze_on_equivocation: ");
	refused("{" NAME "%s" MODE VARIANTS ",\"freeze_on_equivocation\":null}", "freeze_on_equivocation: ");
}

static void test_what_is_no_class_is_refused_with_its_file(void **state)
{
	struct provenance_classes c;
	struct fault f;
	(void)state;
	refused("{" NAME "%s" MODE VARIANTS ",\"requires\":1}", "requires: ");
	write_text(paths[0], "[]");
	refused_files(1, "");
	write_text(paths[0], "{");
	assert_false(load(1, &c, &f).ok);
	assert_int_equal(f.reason, REASON_CONFIG);
	assert_non_null(strstr(f.text, paths[0]));
	unlink(paths[0]);
	assert_false(load(1, &c, &f).ok);
	assert_non_null(strstr(f.text, paths[0]));
}

static void test_two_classes_for_the_same_devices_are_refused(void **state)
{
	struct provenance_classes c;
	struct fault f;
	(void)state;
	write_class(0, "{" NAME WHOSE "%s" MODE VARIANTS "}");
	write_class(1, "{\"class\":\"other\"," WHOSE "%s" MODE VARIANTS "}");
	refused_files(2, "class thermometer");
	write_class(1, "{" NAME "%s" MODE VARIANTS "}");
	refused_files(2, "class thermometer");
	write_class(1, "{\"class\":\"other\",%s" MODE VARIANTS "}");
	assert_true(load(2, &c, &f).ok);
	assert_int_equal(c.count, 2);
	provenance_classes_free(&c);
	write_class(0, "{" NAME "%s" MODE VARIANTS "}");
	refused_files(2, "class thermometer");
}

static void test_more_classes_than_there_may_be_are_refused(void **state)
{
	const struct config_strings files = {.count = CLASSES_MAX + 1};
	struct provenance_classes c;
	struct fault f;
	(void)state;
	assert_false(provenance_classes_load(&files, &c, &f).ok);
	assert_string_equal(f.text, "64 classes at most");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_member_is_taken),
		cmocka_unit_test(test_what_is_left_out_is_the_wider_class_and_the_stricter_rule),
		cmocka_unit_test(test_the_template_loads_beside_a_programme),
		cmocka_unit_test(test_no_file_is_no_class),
		cmocka_unit_test(test_a_wrong_name_or_implementation_is_refused_with_its_place),
		cmocka_unit_test(test_a_mode_of_another_word_is_refused),
		cmocka_unit_test(test_a_programme_that_cannot_be_read_is_refused),
		cmocka_unit_test(test_variants_are_refused_with_their_place),
		cmocka_unit_test(test_lines_and_freezing_are_refused_with_their_place),
		cmocka_unit_test(test_what_is_no_class_is_refused_with_its_file),
		cmocka_unit_test(test_two_classes_for_the_same_devices_are_refused),
		cmocka_unit_test(test_more_classes_than_there_may_be_are_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
