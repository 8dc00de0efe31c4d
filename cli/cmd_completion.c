#include "program.h"

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

static bool same_first_word(const struct command *a, const struct command *b)
{
	size_t n = first_word(a);
	return first_word(b) == n && !strncmp(a->name, b->name, n);
}

/* Whether no command before this one has the same first word. */
static bool begins_group(const struct command *c)
{
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *other = g->commands; other->name; other++) {
			if (other == c)
				return true;
			if (same_first_word(other, c))
				return false;
		}
	return true;
}

static void print_first_words(void)
{
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++)
			if (begins_group(c))
				printf(" %.*s", (int)first_word(c), c->name);
}

/* After "service": add, remove. */
static void print_second_words(const struct command *c)
{
	size_t n = first_word(c);
	printf("    \"%.*s\") words=\"", (int)n, c->name);
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *other = g->commands; other->name; other++)
			if (same_first_word(other, c) && other->name[n])
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
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++) {
			if (c->name[first_word(c)] && begins_group(c))
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
	for (const struct command_group *g = the_program.groups; g->commands; g++)
		for (const struct command *c = g->commands; c->name; c++)
			print_values(c->name, c->options);
	print_values("", the_program.globals);
}

/* "mooring-factory" as the name of a shell function. */
static void function_name(char out[64])
{
	snprintf(out, 64, "_%s", the_program.name);
	for (char *c = out; *c; c++)
		if (*c == '-')
			*c = '_';
}

/* An option of every command may stand before the command, its value after it. */
static void print_skip_of_values(void)
{
	const char *separator = "      ";
	for (const struct option_spec *o = the_program.globals; o->name; o++)
		if (o->value) {
			printf("%s--%s", separator, o->name);
			separator = " | ";
		}
	if (*separator == ' ' && separator[1] == '|')
		puts(") i=$((i + 1)) ;;");
}

static void print_head(const char *function)
{
	printf("# bash completion for %s: source <(%s completion bash)\n"
	       "%s() {\n"
	       "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words= i\n"
	       "  [[ $current == = ]] && current= # bash splits --reason=key at the sign\n"
	       "  [[ $previous == = ]] && previous=${COMP_WORDS[COMP_CWORD - 2]}\n"
	       "  local -a command=()\n"
	       "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "    case ${COMP_WORDS[i]} in\n",
	       the_program.name, the_program.name, function);
	print_skip_of_values();
	puts("      -* | =) ;;\n"
	     "      *) command+=(\"${COMP_WORDS[i]}\") ;;\n"
	     "    esac\n"
	     "  done\n"
	     "  case ${command[*]} in");
}

int completion_run(struct ctl *ctl, const struct arguments *a)
{
	char function[64];
	(void)ctl;
	if (strcmp(a->words[0], "bash"))
		return ctl_usage("completion is for bash alone: %s completion bash", the_program.name);
	function_name(function);
	print_head(function);
	fputs("    \"\") words=\"help", stdout);
	print_first_words();
	fputs("\" ;;\n    help) words=\"", stdout);
	print_first_words();
	puts("\" ;;");
	print_cases();
	fputs("  esac\n"
	      "  [[ $current == -* ]] && words+=\"",
	      stdout);
	print_options(the_program.globals);
	puts("\"\n"
	     "  case \"${command[*]} $previous\" in");
	print_all_values();
	printf("  esac\n"
	       "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	       "}\n"
	       "complete -o default -F %s %s\n",
	       function, the_program.name);
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
		.run = completion_run,
		.offline = true,
	},
	{0},
};
