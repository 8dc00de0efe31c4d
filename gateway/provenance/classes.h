/*
 * classes.h - which devices have to show where they come from, and what they have to show: one file a class.
 *
 *   {"class": name, "implementation_id": 64 hex, "programme": path of programme.json,
 *    "mode": "required" | "optional" | "off",
 *    "variants": [{"name": text, "stages": [1, 2, ...], "raises_generation": bool}], "lines": [32 hex, ...],
 *    "freeze_on_equivocation": bool}
 *
 * implementation_id: of the evidence; without it the class is of every device that no other class is for. variants:
 * what stages a chain may have; raises_generation (false): one that ends with a refurbishment. lines: no others count
 * (all of the programme). freeze_on_equivocation (true): a line that signs twice under one number has its batch frozen.
 */
#ifndef MOORING_PROVENANCE_CLASSES_H
#define MOORING_PROVENANCE_CLASSES_H

#include "common/config/config.h"
#include "common/provenance/chain_check.h"
#include "common/provenance/programme.h"

enum { CLASS_NAME_SIZE = 65, CLASS_LINES_MAX = 64, CLASSES_MAX = 64, CLASS_FILE_MAX = 65536 };
enum class_mode { CLASS_OFF, CLASS_OPTIONAL, CLASS_REQUIRED };

struct provenance_class {
	char name[CLASS_NAME_SIZE];
	bool any; /* no implementation ID */
	uint8_t implementation_id[32];
	enum class_mode mode;
	struct programme programme;
	int64_t programme_number; /* the store's; 0 until it was asked */
	struct chain_rules rules; /* variants are as many as variant_names */
	char variant_names[CHAIN_VARIANTS_MAX][CLASS_NAME_SIZE];
	uint8_t lines[CLASS_LINES_MAX][KEY_ID_SIZE];
	size_t line_count; /* 0: all */
	bool freeze;
};

struct provenance_classes {
	struct provenance_class *items;
	size_t count;
};

/* REASON_CONFIG with the file and the place in it. The caller frees. */
MUST_USE outcome provenance_classes_load(const struct config_strings *files, struct provenance_classes *out,
					 struct fault *f);
void provenance_classes_free(struct provenance_classes *c);

/* The class of a device with this evidence; NULL where no class is for it. Evidence that names no implementation ID
 * may be of any device: it is of the class without one, and of none where another class asks for more than that: by its
 * mode, or, required and of the same programme, by its variants or lines. */
const struct provenance_class *provenance_class_of(const struct provenance_classes *c,
						   const struct evidence *e);
/* Statements of this line count. */
bool provenance_class_has_line(const struct provenance_class *c, const uint8_t line[KEY_ID_SIZE]);
/* "off", "optional", "required". */
const char *class_mode_name(enum class_mode mode);

#endif
