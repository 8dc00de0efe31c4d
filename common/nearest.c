#include "nearest.h"

#include <stdio.h>
#include <string.h>

enum { PREFIX_MIN = 3 };

struct nearest nearest_begin(const char *word)
{
	return (struct nearest){.word = word, .distance = (strlen(word) + 2) / 3};
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits from one word to the other, two neighbours swapped counting as one ("optimal string alignment"). Both have at
 * most NEAREST_WORD_MAX letters. */
static size_t edits(const char *a, const char *b)
{
	size_t d[NEAREST_WORD_MAX + 1][NEAREST_WORD_MAX + 1], n = strlen(a), m = strlen(b);
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			if (!i || !j) {
				d[i][j] = i + j;
				continue;
			}
			d[i][j] = least(d[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
					least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n][m];
}

void nearest_offer(struct nearest *n, const char *name)
{
	size_t length = strlen(n->word);
	if (length > NEAREST_WORD_MAX || strlen(name) > NEAREST_WORD_MAX)
		return;
	size_t distance = length >= PREFIX_MIN && !strncmp(name, n->word, length) ? 1 : edits(n->word, name);
	/* A word of two letters is not one edit away from any other of two letters: something must be left of it. */
	if (distance >= length || distance > n->distance || (n->best[0] && distance == n->distance))
		return;
	n->distance = distance;
	snprintf(n->best, sizeof n->best, "%s", name);
}

/* The option that getopt_long recognised in the token, if it did; it takes abbreviations. */
static const struct option *recognised(const struct option *options, const char *token, size_t n)
{
	for (; optopt && n > 2 && !strncmp(token, "--", 2) && options->name; options++)
		if (options->val == optopt && !strncmp(options->name, token + 2, n - 2))
			return options;
	return NULL;
}

void nearest_option(char *const *argv, const struct option *options, char out[NEAREST_TEXT_MAX])
{
	const char *token = argv[optind - 1];
	int n = (int)strcspn(token, "=");
	const struct option *known = recognised(options, token, (size_t)n);
	if (known) {
		snprintf(out, NEAREST_TEXT_MAX, "--%s %s", known->name,
			 known->has_arg == required_argument ? "needs a value" : "takes no value");
		return;
	}
	if (optopt || n <= 2) {
		snprintf(out, NEAREST_TEXT_MAX, "there is no option -%c", optopt ? optopt : '-');
		return;
	}
	char word[NEAREST_WORD_MAX + 2];
	snprintf(word, sizeof word, "%.*s", n - 2, token + 2);
	struct nearest near = nearest_begin(word);
	for (; options->name; options++)
		nearest_offer(&near, options->name);
	n = snprintf(out, NEAREST_TEXT_MAX, "there is no option %.*s", n < 64 ? n : 64, token);
	if (near.best[0])
		snprintf(out + n, (size_t)(NEAREST_TEXT_MAX - n), ": did you mean --%s?", near.best);
}
