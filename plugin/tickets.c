#include "plugin/tickets.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>

/* CRYPTO_get_ex_new_index(3): called with each new connection, once its context's settings have been copied to it. */
static void on_new(void *ssl, void *p, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	(void)p;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	if (SSL_get_num_tickets(ssl) > 1)
		SSL_set_num_tickets(ssl, 1);
}

int tickets_start(void)
{
	return CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_SSL, 0, NULL, on_new, NULL, NULL);
}

void tickets_end(int index)
{
	if (index >= 0)
		CRYPTO_free_ex_index(CRYPTO_EX_INDEX_SSL, index);
}
