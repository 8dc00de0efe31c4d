#include "plugin/config_scan.h"
#include "plugin/options.h"

#include "broker_stub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct fault f;

#define OPT(k, v)                                                                                            \
	{                                                                                                    \
		(char *)(uintptr_t)(k), (char *)(uintptr_t)(v)                                               \
	}

static const struct mosquitto_opt good[] = {
	OPT("gateway", "https://gw.example.com:8444/"),
	OPT("ca_file", "/ca"),
	OPT("cert_file", "/cert"),
	OPT("key_file", "/key"),
	OPT("feed_key", "/feed"),
	OPT("state_dir", "/state"),
	OPT("broker", "broker-1.example"),
};
enum { GOOD = sizeof good / sizeof *good };

static void test_good_options_are_taken(void **state)
{
	(void)state;
	struct options o;
	struct mosquitto_opt list[GOOD + 1];
	memcpy(list, good, sizeof good);
	assert_true(options_read(list, GOOD, &o, &f).ok);
	assert_string_equal(o.gateway, "https://gw.example.com:8444");
	assert_string_equal(o.state_dir, "/state");
	assert_int_equal(o.staleness_s, OPTIONS_STALENESS_DEFAULT);
	assert_null(o.config_file);
	options_free(&o);
	list[GOOD] = (struct mosquitto_opt)OPT("staleness", "60");
	assert_true(options_read(list, GOOD + 1, &o, &f).ok);
	assert_int_equal(o.staleness_s, 60);
	options_free(&o);
}

static void assert_refused(const char *key, const char *value, const char *text)
{
	struct options o;
	struct mosquitto_opt list[GOOD + 1];
	int n = 0;
	for (int i = 0; i < GOOD; i++)
		if (strcmp(good[i].key, key))
			list[n++] = good[i];
	if (value)
		list[n++] = (struct mosquitto_opt)OPT(key, value);
	assert_false(options_read(list, n, &o, &f).ok);
	assert_int_equal(f.reason, REASON_CONFIG);
	if (!strstr(f.text, text))
		fail_msg("\"%s\" does not say \"%s\"", f.text, text);
	options_free(&o);
}

static void test_wrong_options_are_refused(void **state)
{
	(void)state;
	for (int i = 0; i < GOOD; i++) {
		assert_refused(good[i].key, NULL, "is missing");
		assert_refused(good[i].key, "", "is empty");
	}
	assert_refused("nonsense", "x", "unknown option plugin_opt_nonsense");
	assert_refused("gateway", "http://gw", "https://");
	assert_refused("gateway", "https://", "https://");
	assert_refused("gateway", "https://gw/path", "https://");
	assert_refused("gateway", "https://user@gw", "https://");
	assert_refused("broker", "a\"b", "plugin_opt_broker");
	assert_refused("staleness", "9", "10 to");
	assert_refused("staleness", "60s", "10 to");
	struct options o;
	struct mosquitto_opt twice[GOOD + 1];
	memcpy(twice, good, sizeof good);
	twice[GOOD] = good[0];
	assert_false(options_read(twice, GOOD + 1, &o, &f).ok);
	assert_non_null(strstr(f.text, "twice"));
	options_free(&o);
}

static char dir[64];

static void write_file(const char *name, const char *text)
{
	char path[160];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static bool scan(const char *text)
{
	char path[160];
	write_file("mosquitto.conf", text);
	snprintf(path, sizeof path, "%s/mosquitto.conf", dir);
	f = (struct fault){0};
	return config_scan(path, &f).ok;
}

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/mooring-scan-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	char path[160];
	const char *const names[] = {"mosquitto.conf", "more/a.conf", "more/b.txt", "more", ""};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		remove(path);
	}
	return 0;
}

static void test_a_plain_configuration_passes(void **state)
{
	(void)state;
	assert_true(
		scan("# allow_anonymous true\n"
		     "allow_anonymous false\nuse_identity_as_username false\nlistener 8883\nprotocol mqtt\n"
		     "plugin /usr/lib/mosquitto_mooring.so\nplugin_opt_broker allow_anonymous true\n"));
}

static void test_what_goes_round_the_plugin_is_found(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"use_identity_as_username true",
		"use_subject_as_username true",
		"allow_anonymous true",
		"allow_anonymous 1",
		"per_listener_settings true",
		"password_file /etc/x",
		"acl_file /etc/x",
		"psk_file /etc/x",
		"auth_plugin /x.so",
		"protocol websockets",
		"plugin /b.so",
		"plugin_use a",
		"listener_allow_anonymous true",
		"\tallow_anonymous \t true \t\r",
		"allow_anonymous true # of which the broker reads the first word alone",
		"use_identity_as_username 1 0",
		"use_subject_as_username TRUE",
		"protocol websockets or not",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[256];
		snprintf(text, sizeof text, "plugin /a.so\n\n%s\n", bad[i]);
		assert_false(scan(text));
		assert_int_equal(f.reason, REASON_CONFIG);
		if (!strstr(f.text, "mosquitto.conf line 3"))
			fail_msg("%s: %s", bad[i], f.text);
	}
}

static void test_included_files_are_looked_into(void **state)
{
	(void)state;
	char text[256], path[160];
	snprintf(path, sizeof path, "%s/more", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(text, sizeof text, "plugin /a.so\ninclude_dir %s\n", path);
	write_file("more/b.txt", "allow_anonymous true\n");
	assert_true(scan(text));
	write_file("more/a.conf", "\nplugin /b.so\n");
	assert_false(scan(text));
	assert_non_null(strstr(f.text, "more/a.conf line 2"));
	snprintf(text, sizeof text, "include_dir %s/missing\n", path);
	assert_false(scan(text));
	snprintf(text, sizeof text, "include_dir %s\n", path);
	write_file("more/a.conf", text); /* includes itself */
	assert_false(scan(text));
	assert_non_null(strstr(f.text, "too deeply"));
}

static void test_a_file_that_cannot_be_checked_does_not_pass(void **state)
{
	(void)state;
	assert_false(config_scan("/nonexistent/mosquitto.conf", &f).ok);
	assert_int_equal(f.reason, REASON_CONFIG);
}

static void test_a_configuration_that_nobody_names_does_not_pass(void **state)
{
	(void)state;
	char path[160];
	write_file("mosquitto.conf", "allow_anonymous false\n");
	snprintf(path, sizeof path, "%s/mosquitto.conf", dir);
	assert_true(config_scan_broker(path, &f).ok);
	assert_false(config_scan_broker(NULL, &f).ok); /* this program's command line has no -c */
	assert_non_null(strstr(f.text, "plugin_opt_config_file"));
	write_file("mosquitto.conf", "allow_anonymous true\n");
	assert_false(config_scan_broker(path, &f).ok);
}

int main(void)
{
#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_options_are_taken),
		cmocka_unit_test(test_wrong_options_are_refused),
		IN_DIR(test_a_plain_configuration_passes),
		IN_DIR(test_what_goes_round_the_plugin_is_found),
		IN_DIR(test_included_files_are_looked_into),
		cmocka_unit_test(test_a_file_that_cannot_be_checked_does_not_pass),
		IN_DIR(test_a_configuration_that_nobody_names_does_not_pass),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
