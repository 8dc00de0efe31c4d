/*
 * policy_certificate.h - the fields of a certificate that a policy can name:
 * iot:Certificate.Subject.CommonName and its like.
 *
 * As AWS fills them in (Developer Guide, "Using X.509 certificate policy variables"): the serial number is
 * decimal; a directory name is written backwards, "cn=Lamp,ou=Home,c=US"; in names, each of , " \ + = < > ;
 * has a backslash before it.
 */
#ifndef MOORING_POLICY_CERTIFICATE_H
#define MOORING_POLICY_CERTIFICATE_H

#include "policy.h"

#include <openssl/x509.h>

#define POLICY_CERTIFICATE_PREFIX "iot:Certificate."

enum { POLICY_CERTIFICATE_FIELDS = 37, POLICY_CERTIFICATE_VALUE_MAX = 1024 };

/* "iot:Certificate.Subject.CommonName"; number < POLICY_CERTIFICATE_FIELDS. */
const char *policy_certificate_field(uint8_t number);

/* Names without the prefix, values in the order in which the certificate has them. */
struct policy_certificate {
	struct policy_attribute *fields;
	size_t count;
};

/* What cannot be a text (a zero byte in a name, an odd address) is left out, and so has no value.
 * REASON_NO_MEMORY. */
MUST_USE outcome policy_certificate_read(const X509 *cert, struct policy_certificate *out, struct fault *f);
void policy_certificate_free(struct policy_certificate *c);

#endif
