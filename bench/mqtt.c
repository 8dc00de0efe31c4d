#include "mqtt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECT = 0x10, SUBSCRIBE = 0x82, DISCONNECT = 0xe0 };

struct mqtt_site {
	SSL_CTX *tls;
	struct sockaddr_in address;
};

/* ---- identities ---- */

static char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path, *dot = strrchr(from, '.');
	return strndup(from, dot ? (size_t)(dot - from) : strlen(from));
}

outcome mqtt_identity_load(const char *path, struct mqtt_identity *out, struct fault *f)
{
	BIO *file = BIO_new_file(path, "r");
	*out = (struct mqtt_identity){.name = name_of(path)};
	if (file && (out->key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL)) &&
	    (out->leaf = PEM_read_bio_X509(file, NULL, NULL, NULL)))
		out->issuer = PEM_read_bio_X509(file, NULL, NULL, NULL);
	BIO_free(file);
	return out->name && out->issuer
		       ? DONE
		       : refuse(f, REASON_CONFIG, "%s: key, leaf and issuer are wanted", path);
}

void mqtt_identity_free(struct mqtt_identity *i)
{
	free(i->name);
	X509_free(i->leaf);
	X509_free(i->issuer);
	EVP_PKEY_free(i->key);
}

/* ---- connections ---- */

outcome mqtt_site_new(int port, const char *ca_file, struct mqtt_site **out, struct fault *f)
{
	struct mqtt_site *s = calloc(1, sizeof *s);
	*out = s;
	if (!s || !(s->tls = SSL_CTX_new(TLS_client_method())))
		return refuse(f, REASON_NO_MEMORY, "no memory for a TLS context");
	if (!SSL_CTX_set_min_proto_version(s->tls, TLS1_3_VERSION) ||
	    SSL_CTX_load_verify_file(s->tls, ca_file) != 1)
		return refuse(f, REASON_CONFIG, "%s: no trust anchor", ca_file);
	X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(s->tls), "127.0.0.1");
	SSL_CTX_set_verify(s->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(s->tls, SSL_SESS_CACHE_OFF);
	s->address = (struct sockaddr_in){.sin_family = AF_INET,
					  .sin_port = htons((uint16_t)port),
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	return DONE;
}

void mqtt_site_free(struct mqtt_site *s)
{
	if (!s)
		return;
	SSL_CTX_free(s->tls);
	free(s);
}

static outcome open_socket(struct mqtt_client *c, const struct mqtt_site *s, struct fault *f)
{
	const struct sockaddr *to = (const struct sockaddr *)&s->address;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) ||
	    (connect(c->fd, to, sizeof s->address) && errno != EINPROGRESS))
		return refuse(f, REASON_UNREACHABLE, "%s", strerror(errno));
	return DONE;
}

static outcome open_tls(struct mqtt_client *c, const struct mqtt_site *s, const struct mqtt_identity *who,
			struct fault *f)
{
	c->tls = SSL_new(s->tls);
	if (!c->tls || !SSL_set_fd(c->tls, c->fd) || SSL_use_certificate(c->tls, who->leaf) != 1 ||
	    SSL_use_PrivateKey(c->tls, who->key) != 1 || !SSL_add1_chain_cert(c->tls, who->issuer))
		return refuse(f, REASON_NO_MEMORY, "no memory for a connection");
	SSL_set_mode(c->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				     SSL_MODE_RELEASE_BUFFERS);
	SSL_set_connect_state(c->tls);
	return DONE;
}

static void put_text(struct buf *out, const char *text)
{
	size_t n = strlen(text);
	buf_add(out, (uint8_t[]){(uint8_t)(n >> 8), (uint8_t)n}, 2);
	buf_add(out, text, n);
}

static void put_head(struct buf *out, uint8_t first, size_t n)
{
	buf_add(out, &first, 1);
	do {
		uint8_t byte = (uint8_t)(n % 128 | (n > 127 ? 128 : 0));
		buf_add(out, &byte, 1);
	} while (n /= 128);
}

static void put_connect(struct mqtt_client *c, const char *client_id)
{
	static const uint8_t head[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0};
	put_head(&c->out, CONNECT, sizeof head + 2 + strlen(client_id));
	buf_add(&c->out, head, sizeof head);
	put_text(&c->out, client_id);
}

outcome mqtt_open(const struct mqtt_site *s, const struct mqtt_identity *who, const char *client_id,
		  struct mqtt_client **out, struct fault *f)
{
	struct mqtt_client *c = malloc(sizeof *c);
	*out = c;
	if (!c)
		return refuse(f, REASON_NO_MEMORY, "no memory for a connection");
	memset(c, 0,
	       offsetof(struct mqtt_client, in)); /* not the room for input: most of it is never touched */
	c->fd = -1;
	outcome o = open_socket(c, s, f);
	if (o.ok)
		o = open_tls(c, s, who, f);
	if (o.ok)
		put_connect(c, client_id);
	return o;
}

void mqtt_close(struct mqtt_client *c)
{
	if (!c)
		return;
	SSL_free(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	buf_free(&c->out);
	free(c);
}

/* ---- traffic ---- */

static bool only_waits(const struct mqtt_client *c, int rc)
{
	int error = SSL_get_error(c->tls, rc);
	return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool mqtt_flush(struct mqtt_client *c)
{
	while (c->out.n) {
		int sent = SSL_write(c->tls, c->out.p, (int)c->out.n);
		if (sent <= 0)
			return only_waits(c, sent);
		buf_consume(&c->out, (size_t)sent);
	}
	return !c->out.failed;
}

/* The packet at the beginning: its size, 0 where it is not whole yet. */
static size_t cut_packet(struct bytes in, struct bytes *body)
{
	size_t n = 0, at = 1;
	for (unsigned shift = 0; at < in.n && shift < 28; shift += 7) {
		n |= (size_t)(in.p[at] & 127) << shift;
		if (in.p[at++] < 128) {
			*body = bytes_of(in.p + at, n);
			return at + n <= in.n ? at + n : 0;
		}
	}
	return 0;
}

static void take_packets(struct mqtt_client *c, mqtt_packet *packet, void *arg)
{
	size_t at = 0, n;
	struct bytes body;
	while ((n = cut_packet(bytes_of(c->in + at, c->in_size - at), &body))) {
		uint8_t first = c->in[at];
		c->greeted |= first == MQTT_CONNACK && body.n == 2 && body.p[1] == 0;
		packet(c, first, body, arg);
		at += n;
	}
	memmove(c->in, c->in + at, c->in_size -= at);
}

bool mqtt_turn(struct mqtt_client *c, mqtt_packet *packet, void *arg)
{
	if (!mqtt_flush(c))
		return false;
	for (;;) {
		int got = SSL_read(c->tls, c->in + c->in_size, (int)(MQTT_INPUT_MAX - c->in_size));
		if (got <= 0 && !only_waits(c, got))
			return false;
		if (got <= 0)
			return mqtt_flush(c);
		c->in_size += (size_t)got;
		take_packets(c, packet, arg);
	}
}

static void put_packet_id(struct mqtt_client *c)
{
	if (++c->packet == 0)
		c->packet = 1;
	buf_add(&c->out, (uint8_t[]){(uint8_t)(c->packet >> 8), (uint8_t)c->packet}, 2);
}

void mqtt_put_publish(struct mqtt_client *c, const char *topic, struct bytes payload, int qos)
{
	put_head(&c->out, (uint8_t)(MQTT_PUBLISH | qos << 1), 2 + strlen(topic) + (qos ? 2 : 0) + payload.n);
	put_text(&c->out, topic);
	if (qos)
		put_packet_id(c);
	buf_add(&c->out, payload.p, payload.n);
}

void mqtt_put_puback(struct mqtt_client *c, const uint8_t packet[2])
{
	put_head(&c->out, MQTT_PUBACK, 2);
	buf_add(&c->out, packet, 2);
}

void mqtt_put_subscribe(struct mqtt_client *c, const char *filter, int qos)
{
	put_head(&c->out, SUBSCRIBE, 2 + 2 + strlen(filter) + 1);
	put_packet_id(c);
	put_text(&c->out, filter);
	buf_add(&c->out, &(uint8_t){(uint8_t)qos}, 1);
}

void mqtt_put_disconnect(struct mqtt_client *c)
{
	put_head(&c->out, DISCONNECT, 0);
}

struct bytes mqtt_payload(uint8_t first, struct bytes body, const uint8_t **packet)
{
	size_t topic = body.n >= 2 ? (size_t)body.p[0] << 8 | body.p[1] : 0,
	       at = 2 + topic + (first & 6 ? 2 : 0);
	*packet = NULL;
	if (body.n < at)
		return bytes_of(body.p, 0);
	if (first & 6)
		*packet = body.p + at - 2;
	return bytes_of(body.p + at, body.n - at);
}
