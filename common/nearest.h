/*
 * nearest.h - what a misspelt word on a command line was meant to be, and what is wrong with an option.
 */
#ifndef MOORING_NEAREST_H
#define MOORING_NEAREST_H

#include <getopt.h>
#include <stddef.h>

enum { NEAREST_WORD_MAX = 32, NEAREST_TEXT_MAX = 256 };

/* Offer each name that would do; `best` is the likeliest of those near enough, "" where none is. A name is near when a
 * letter in three at most is wrong, missing, too many, or swapped with the next one; or when it begins with the word.
 * The word is not copied; a longer one than NEAREST_WORD_MAX is near to none. */
struct nearest {
	const char *word;
	char best[NEAREST_WORD_MAX + 1];
	size_t distance;
};
struct nearest nearest_begin(const char *word);
void nearest_offer(struct nearest *n, const char *name);

/* After getopt_long(argc, argv, …, options, …) has answered '?' with opterr = 0: "there is no option --lifetme: did you
 * mean --lifetime?", "--lifetime needs a value", "--help takes no value". Each option has a value of its own. */
void nearest_option(char *const *argv, const struct option *options, char out[NEAREST_TEXT_MAX]);

#endif
