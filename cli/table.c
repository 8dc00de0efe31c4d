#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
	struct row *next;
	size_t coloured;
	enum colour colour;
	char *cells[];
};

struct table {
	size_t columns;
	struct row *first, **last;
	struct row *headings;
};

static void row_free(struct row *r, size_t columns)
{
	for (size_t i = 0; r && i < columns; i++)
		free(r->cells[i]);
	free(r);
}

static struct row *row_new(const char *const *cells, size_t columns)
{
	struct row *r = calloc(1, sizeof *r + columns * sizeof *r->cells);
	for (size_t i = 0; r && i < columns; i++)
		if (!(r->cells[i] = strdup(cells[i] && cells[i][0] ? cells[i] : "-"))) {
			row_free(r, columns);
			return NULL;
		}
	return r;
}

struct table *table_new(const char *const *headings, size_t columns)
{
	struct table *t = calloc(1, sizeof *t);
	if (!t || !(t->headings = row_new(headings, columns))) {
		free(t);
		return NULL;
	}
	t->columns = columns;
	t->last = &t->first;
	return t;
}

void table_row(struct table *t, const char *const *cells, size_t coloured, enum colour colour)
{
	struct row *r = t ? row_new(cells, t->columns) : NULL;
	if (!r)
		return;
	r->coloured = coloured;
	r->colour = colour;
	*t->last = r;
	t->last = &r->next;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t widest = text_width(t->headings->cells[column]);
	for (const struct row *r = t->first; r; r = r->next)
		if (text_width(r->cells[column]) > widest)
			widest = text_width(r->cells[column]);
	return widest;
}

/* No blanks at the end of a line. */
static void print_row(const struct table *t, const struct row *r, const size_t *widths, bool colour)
{
	for (size_t i = 0; i < t->columns; i++) {
		text_print_colour(colour, i == r->coloured ? r->colour : PLAIN, r->cells[i]);
		if (i + 1 < t->columns)
			printf("%*s", (int)(widths[i] - text_width(r->cells[i]) + 2), "");
	}
	putchar('\n');
}

static void print_headings(const struct table *t, const size_t *widths, bool colour)
{
	for (size_t i = 0; i < t->columns; i++) {
		text_print_colour(colour, BOLD, t->headings->cells[i]);
		if (i + 1 < t->columns)
			printf("%*s", (int)(widths[i] - text_width(t->headings->cells[i]) + 2), "");
	}
	putchar('\n');
}

void table_end(struct table *t, bool colour, const char *when_empty)
{
	size_t widths[16];
	if (!t)
		return;
	if (!t->first)
		puts(when_empty);
	for (size_t i = 0; i < t->columns && i < 16; i++)
		widths[i] = column_width(t, i);
	if (t->first)
		print_headings(t, widths, colour);
	for (struct row *r = t->first, *next; r; r = next) {
		next = r->next;
		print_row(t, r, widths, colour);
		row_free(r, t->columns);
	}
	row_free(t->headings, t->columns);
	free(t);
}
