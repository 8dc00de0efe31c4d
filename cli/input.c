#include "input.h"

#include "common/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *input_name(const char *path)
{
	return strcmp(path, "-") ? path : "standard input";
}

/* Pipes and devices too, which file_read refuses: FILE may be <(command). */
static outcome read_all(int fd, const char *path, size_t limit, struct buf *out, struct fault *f)
{
	uint8_t chunk[4096];
	ssize_t n;
	while ((n = read(fd, chunk, sizeof chunk)) > 0) {
		buf_add(out, chunk, (size_t)n);
		if (out->n > limit)
			return refuse(f, REASON_TOO_LARGE, "%s is longer than %zu bytes", path, limit);
	}
	if (n < 0)
		return file_fault(f, errno, "read", path);
	return out->failed ? refuse(f, REASON_NO_MEMORY, "no memory for the input") : DONE;
}

static outcome read_path(const char *path, size_t limit, struct buf *out, struct fault *f)
{
	if (!strcmp(path, "-"))
		return read_all(STDIN_FILENO, input_name(path), limit, out, f);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return file_fault(f, errno, "open", path);
	outcome o = read_all(fd, path, limit, out, f);
	close(fd);
	return o;
}

outcome input_read_text(const char *path, size_t limit, struct buf *out, struct fault *f)
{
	*out = (struct buf){0};
	outcome o = read_path(path, limit, out, f);
	buf_byte(out, 0);
	if (o.ok && out->failed)
		o = refuse(f, REASON_NO_MEMORY, "no memory for the input");
	if (o.ok)
		out->n--;
	else
		buf_free(out);
	return o;
}

/* The text between the lines of BEGIN and END; n = 0 where it is no PEM. */
static struct bytes pem_body(struct bytes text)
{
	static const char begin[] = "-----BEGIN ", end[] = "-----END ";
	const uint8_t *at = text.n ? memmem(text.p, text.n, begin, sizeof begin - 1) : NULL;
	const uint8_t *from = at ? memchr(at, '\n', (size_t)(text.p + text.n - at)) : NULL;
	const uint8_t *to = from ? memmem(from, (size_t)(text.p + text.n - from), end, sizeof end - 1) : NULL;
	return to ? bytes_of(from, (size_t)(to - from)) : bytes_of(NULL, 0);
}

/* Without white space; n = 0 where a byte is no printable ASCII, so that it cannot be text. */
static void squeeze(struct bytes text, struct buf *out)
{
	for (size_t i = 0; i < text.n; i++) {
		if (isspace(text.p[i]))
			continue;
		if (text.p[i] < 0x21 || text.p[i] > 0x7e) {
			out->n = 0;
			return;
		}
		buf_byte(out, text.p[i]);
	}
}

typedef bool decoder(const char *in, size_t n, uint8_t *out, size_t room, size_t *n_out);

static bool decode_as(decoder *decode, struct bytes text, struct buf *out)
{
	struct buf decoded = {.p = malloc(text.n + 1), .cap = text.n + 1};
	if (decoded.p && decode((const char *)text.p, text.n, decoded.p, decoded.cap, &decoded.n)) {
		buf_free(out);
		*out = decoded;
		return true;
	}
	buf_free(&decoded);
	return false;
}

/* Hexadecimal before base64: every hexadecimal text of the right length is base64 too, and no dump of base64
 * is hexadecimal by chance. */
static outcome decode(struct buf *out, const char **form, struct fault *f)
{
	struct bytes pem = pem_body(buf_view(out));
	struct buf text = {0};
	squeeze(pem.n ? pem : buf_view(out), &text);
	outcome result = DONE;
	if (text.failed)
		result = refuse(f, REASON_NO_MEMORY, "no memory for the input");
	else if (pem.n)
		*form = decode_as(base64_decode, buf_view(&text), out) ? "PEM" : NULL;
	else if (text.n == 0)
		*form = "raw";
	else if (text.p[0] == '{')
		*form = "JSON";
	else if (decode_as(hex_decode, buf_view(&text), out))
		*form = "hex";
	else
		*form = decode_as(base64_decode, buf_view(&text), out) ||
					decode_as(base64url_decode, buf_view(&text), out)
				? "base64"
				: NULL;
	if (result.ok && !*form)
		result = refuse(
			f, REASON_BAD_ENCODING,
			"the input is text, but neither PEM, hexadecimal, base64 nor an enrolment request in JSON");
	buf_free(&text);
	return result;
}

outcome input_read(const char *path, size_t limit, struct buf *out, const char **form, struct fault *f)
{
	size_t text_limit = 3 * limit + 1024; /* hexadecimal with line breaks */
	*out = (struct buf){0};
	*form = NULL;
	outcome result = read_path(path, text_limit, out, f);
	if (result.ok)
		result = decode(out, form, f);
	if (result.ok && out->n > limit)
		result = refuse(f, REASON_TOO_LARGE, "%s holds %zu bytes, at most %zu are read", path, out->n,
				limit);
	if (!result.ok)
		buf_free(out);
	return result;
}
