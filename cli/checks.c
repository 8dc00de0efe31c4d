#include "checks.h"

#include <stdint.h>
#include <stdio.h>

static void note(json_t *taken, const struct check_step *step, const char *result)
{
	json_array_append_new(taken, json_pack("{s:s, s:s}", "step", step->name, "result", result));
}

outcome checks_run(const struct check_step *steps, size_t count, void *arg, json_t **taken, struct fault *f)
{
	outcome o = DONE;
	*taken = json_array();
	for (size_t i = 0; o.ok && i < count; i++) {
		char left_out[64];
		if (steps[i].can && !steps[i].can(arg)) {
			snprintf(left_out, sizeof left_out, "not checked: no %s", steps[i].needs);
			note(*taken, &steps[i], left_out);
			continue;
		}
		o = steps[i].run(arg, f);
		note(*taken, &steps[i], o.ok ? "ok" : "refused");
	}
	return o;
}

void checks_print(const json_t *taken)
{
	size_t i;
	json_t *step;
	puts("checks");
	json_array_foreach((json_t *)(uintptr_t)taken, i, step)
		printf("  %-50s %s\n", json_string_value(json_object_get(step, "step")),
		       json_string_value(json_object_get(step, "result")));
}

void checks_print_json(json_t *view, json_t *taken, bool complete, outcome checked, const struct fault *f)
{
	const char *result = !checked.ok ? "REJECT" : complete ? "ACCEPT" : "INCOMPLETE";
	json_object_set(view, "checks", taken);
	json_object_set_new(view, "result", json_string(result));
	json_object_set_new(view, "reason", json_string(checked.ok ? "" : reason_code(f->reason)));
	json_object_set_new(view, "rule", json_string(checked.ok ? "" : f->text));
	json_dumpf(view, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
}
