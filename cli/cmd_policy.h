/*
 * cmd_policy.h - `mooringctl policy`: what reads documents offline (cmd_policy.c), and what the gateway is asked for
 * (cmd_policy_live.c). Both are in one table, since they begin with one word.
 */
#ifndef MOORING_CMD_POLICY_H
#define MOORING_CMD_POLICY_H

#include "ctl.h"

#include <jansson.h>

int policy_lint_files(struct ctl *c, const struct arguments *a);
int policy_test(struct ctl *c, const struct arguments *a);
int policy_explain_command(struct ctl *c, const struct arguments *a);

int policy_list(struct ctl *c, const struct arguments *a);
int policy_show(struct ctl *c, const struct arguments *a);
int policy_set(struct ctl *c, const struct arguments *a);
int policy_reset(struct ctl *c, const struct arguments *a);
int policy_delete(struct ctl *c, const struct arguments *a);
int policy_attach(struct ctl *c, const struct arguments *a);
int policy_detach(struct ctl *c, const struct arguments *a);

/* One that lint has: code, severity, place, text, remedy. */
void policy_print_finding(const struct ctl *c, const json_t *finding);

#endif
