#include "ctl.h"
#include "help.h"

#include <stdio.h>
#include <string.h>

static void print_options(const struct option_spec *o)
{
	for (; o && o->name; o++)
		printf(" --%s", o->name);
}

static size_t first_word(const struct command *c)
{
	return strcspn(c->name, " ");
}

/* Commands of one first word stand together in the table: each such run is one group. */
static bool begins_group(const struct command *commands, const struct command *c)
{
	size_t n = first_word(c);
	return c == commands || first_word(c - 1) != n || strncmp(c->name, c[-1].name, n) != 0;
}

static void print_first_words(void)
{
	for (const struct command_group *g = ctl_groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++)
			if (begins_group(g->commands, c))
				printf(" %.*s", (int)first_word(c), c->name);
}

/* After "service": add, remove. */
static void print_second_words(const struct command *c)
{
	size_t n = first_word(c);
	printf("    \"%.*s\") words=\"", (int)n, c->name);
	for (const struct command *other = c; other->name && !strncmp(other->name, c->name, n + 1); other++)
		printf(" %s", other->name + n + 1);
	puts("\" ;;");
}

/* "bash", and not "THING [--wait MS]". */
static bool is_literal(const char *arguments)
{
	return !arguments[strspn(arguments, "abcdefghijklmnopqrstuvwxyz")];
}

static void print_cases(void)
{
	for (const struct command_group *g = ctl_groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++) {
			if (c->name[first_word(c)] && begins_group(g->commands, c))
				print_second_words(c);
			printf("    \"%s\"*) words=\"", c->name);
			if (is_literal(c->arguments))
				printf(" %s", c->arguments);
			print_options(c->options);
			puts("\" ;;");
		}
}

static void print_choices(const struct option_spec *o)
{
	const char *at = option_is_choice(o) ? o->value : NULL, *choice;
	while (at) {
		size_t n = option_next_choice(&at, &choice);
		printf(" %.*s", (int)n, choice);
	}
}

/* After "revoke … --reason": all that there is to say; after "--wait": nothing that anybody knows. */
static void print_values(const char *command, const struct option_spec *o)
{
	for (; o && o->name; o++) {
		if (!o->value)
			continue;
		printf("    \"%s\"*\" --%s\") words=\"", command, o->name);
		print_choices(o);
		puts("\" ;;");
	}
}

static void print_all_values(void)
{
	for (const struct command_group *g = ctl_groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++)
			print_values(c->name, c->options);
	print_values("", ctl_globals);
}

static int completion(struct ctl *ctl, const struct arguments *a)
{
	(void)ctl;
	if (strcmp(a->words[0], "bash"))
		return ctl_usage("completion is for bash alone: mooringctl completion bash");
	puts("# bash completion for mooringctl: source <(mooringctl completion bash)\n"
	     "_mooringctl() {\n"
	     "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words= i\n"
	     "  [[ $current == = ]] && current= # bash splits --reason=key at the sign\n"
	     "  [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
	     "  local -a command=()\n"
	     "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "    case ${COMP_WORDS[i]} in\n"
	     "      --endpoint | --ca | --key) i=$((i + 1)) ;;\n"
	     "      -* | =) ;;\n"
	     "      *) command+=(\"${COMP_WORDS[i]}\") ;;\n"
	     "    esac\n"
	     "  done\n"
	     "  case ${command[*]} in");
	fputs("    \"\") words=\"", stdout);
	print_first_words();
	puts("\" ;;");
	print_cases();
	fputs("  esac\n"
	      "  [[ $current == -* ]] && words+=\"",
	      stdout);
	print_options(ctl_globals);
	puts("\"\n"
	     "  case \"${command[*]} $previous\" in");
	print_all_values();
	puts("  esac\n"
	     "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	     "}\n"
	     "complete -o default -F _mooringctl mooringctl");
	return EXIT_DONE;
}

const struct command completion_commands[] = {
	{
		.name = "completion",
		.arguments = "bash",
		.summary = "print a script that completes commands, options and their values",
		.help = "The script is made from the same table as this help.",
		.examples = "  source <(mooringctl completion bash)\n"
			    "  mooringctl completion bash > /etc/bash_completion.d/mooringctl\n",
		.words_min = 1,
		.words_max = 1,
		.run = completion,
		.offline = true,
	},
	{0},
};
