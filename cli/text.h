/*
 * text.h - text for people: times, colours, aligned columns. Everything that came from outside is cleaned of
 * control characters on its way to the terminal.
 */
#ifndef MOORING_TEXT_H
#define MOORING_TEXT_H

#include "common/bytes.h"

enum { TEXT_TIME_SIZE = 32 };

/* "2026-11-22 15:00:01" UTC, of Unix seconds or milliseconds; "-" for 0. */
const char *text_time_s(int64_t unix_s, char out[TEXT_TIME_SIZE]);
const char *text_time_ms(int64_t unix_ms, char out[TEXT_TIME_SIZE]);
/* "7 days", "36 hours", "90 s": the largest unit that says it whole. */
const char *text_duration(int64_t seconds, char out[TEXT_TIME_SIZE]);

/* Prints with control characters (C0, DEL, C1, and what is no UTF-8) as '?'. */
void text_print(const char *s);
/* Characters that text_print would write. */
size_t text_width(const char *s);

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW };
/* Standard output is a terminal and NO_COLOR is unset or empty (no-color.org). */
bool text_wants_colour(void);
void text_print_colour(bool on, enum colour colour, const char *s);
/* The colour of a standing: active green, suspended and pending yellow, revoked and lost red. */
enum colour text_state_colour(const char *state);

/* "  label        value" */
void text_field(const char *label, const char *value);
void text_number(const char *label, int64_t value);

/* At most 16 columns, as wide as their widest cell. Cells are copied; an empty one is "-". */
struct table;
struct table *table_new(const char *const *headings, size_t columns); /* NULL without memory */
/* `colour` is for the cell in column `coloured`. */
void table_row(struct table *t, const char *const *cells, size_t coloured, enum colour colour);
/* Prints, or prints `when_empty`, and frees. */
void table_end(struct table *t, bool colour, const char *when_empty);

#endif
