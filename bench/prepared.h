/*
 * prepared.h - the files of devices that are made before the clock runs: records of one size, one a device.
 */
#ifndef MOORING_BENCH_PREPARED_H
#define MOORING_BENCH_PREPARED_H

#include "common/provenance/chain.h"

#include <stdint.h>

enum { CSR_ROOM = 512, KEY_ROOM = 160 };

/* Of the keys file. */
struct prepared {
	uint32_t rot_size, csr_size, key_size;
	uint8_t rot_der[KEY_ROOM], key_der[KEY_ROOM];
	uint8_t csr[CSR_ROOM];
};

/* Of the file of provenance chains, in the order of the keys file. */
struct prepared_chain {
	uint32_t size;
	uint8_t chain[CHAIN_MAX];
};

/* `count` new devices: their records for the attestation service, and the keys file. 0, or the process ends. */
int prepared_make(const char *records_path, const char *keys_path, long count, const char *batch);

#endif
