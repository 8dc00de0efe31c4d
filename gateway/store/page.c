#include "store_internal.h"

struct page page_new(struct op *op, size_t row_size)
{
	return (struct page){.op = op, .rows = op_alloc(op, STORE_PAGE_MAX * row_size), .size = row_size};
}

outcome page_fill(struct page *p, struct query *q, page_read_row *read, struct fault *f)
{
	bool row = true;
	outcome o = DONE;
	while (o.ok && row && p->count < STORE_PAGE_MAX) {
		o = query_row(q, &row, f);
		if (o.ok && row)
			read(p->op, q, (uint8_t *)p->rows + p->size * p->count++);
	}
	query_end(q);
	return o;
}

size_t page_limit(size_t asked)
{
	return asked == 0 || asked > STORE_PAGE_MAX ? STORE_PAGE_MAX : asked;
}
