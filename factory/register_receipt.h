/*
 * register_receipt.h - the register's receipt for a chain: where and when each of its statements was registered.
 */
#ifndef MOORING_FACTORY_REGISTER_RECEIPT_H
#define MOORING_FACTORY_REGISTER_RECEIPT_H

#include "register_admit.h"

/* Appends `chain` with a receipt in it, in place of the one that it has. CHAIN_UNREGISTERED where a statement is not
 * in the register. */
MUST_USE outcome register_receipt_put(const struct factory_register *r, struct bytes chain, struct buf *out,
				      struct fault *f);

#endif
