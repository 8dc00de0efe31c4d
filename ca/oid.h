/*
 * oid.h - the object identifiers of the certificates that Mooring makes, as DER contents.
 */
#ifndef MOORING_CA_OID_H
#define MOORING_CA_OID_H

#include "common/bytes.h"

#define OID_COMMON_NAME "\x55\x04\x03"
#define OID_ORGANISATION "\x55\x04\x0a"
#define OID_BASIC_CONSTRAINTS "\x55\x1d\x13"
#define OID_KEY_USAGE "\x55\x1d\x0f"
#define OID_EXT_KEY_USAGE "\x55\x1d\x25"
#define OID_SUBJECT_KEY_ID "\x55\x1d\x0e"
#define OID_AUTHORITY_KEY_ID "\x55\x1d\x23"
#define OID_SUBJECT_ALT_NAME "\x55\x1d\x11"
#define OID_NAME_CONSTRAINTS "\x55\x1d\x1e"
#define OID_SERVER_AUTH "\x2b\x06\x01\x05\x05\x07\x03\x01"
#define OID_CLIENT_AUTH "\x2b\x06\x01\x05\x05\x07\x03\x02"

#endif
