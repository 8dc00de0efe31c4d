#include "plugin/tickets.h"

#include "broker_stub.h"

#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static size_t tickets_of(SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);
	size_t n = SSL_get_num_tickets(ssl);
	SSL_free(ssl);
	return n;
}

static void test_a_connection_has_one_ticket_and_none_where_none_is_configured(void **state)
{
	(void)state;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method()), *none = SSL_CTX_new(TLS_server_method());
	size_t usual = tickets_of(ctx);
	bool late = OPENSSL_version_major() > 3 || OPENSSL_version_minor() > 1;
	SSL_CTX_set_num_tickets(none, 0);
	int index = tickets_start();
	assert_true(usual > 1);
	assert_int_equal(tickets_of(ctx), late ? usual : 1);
	assert_int_equal(tickets_of(none), 0);
	tickets_end(index);
	assert_int_equal(tickets_of(ctx), usual);
	SSL_CTX_free(ctx);
	SSL_CTX_free(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_connection_has_one_ticket_and_none_where_none_is_configured),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
