/*
 * tickets.h - one TLS 1.3 session ticket a connection, where OpenSSL's default is two.
 *
 * A device has one connection to the broker, and needs one ticket to resume it. A ticket holds the client's
 * certificate: on OpenSSL 3.0 to make one costs the broker a twelfth of a whole connect, more than all else that
 * this plugin does there, and it is a kilobyte on the device's link. Whoever has configured fewer keeps fewer.
 */
#ifndef MOORING_PLUGIN_TICKETS_H
#define MOORING_PLUGIN_TICKETS_H

/* From now on, for every TLS connection of this process. Where OpenSSL does not take part (from 3.2 on it settles the
 * number later than it lets others look) all stays as it is. Returns what tickets_end wants. */
int tickets_start(void);
/* Before this code is unloaded. */
void tickets_end(int index);

#endif
