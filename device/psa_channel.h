/*
 * psa_channel.h - whole messages of psa_protocol.h over a blocking stream socket, for both ends.
 */
#ifndef MOORING_PSA_CHANNEL_H
#define MOORING_PSA_CHANNEL_H

#include "psa_protocol.h"

/* False when the other end has gone. */
MUST_USE bool psa_channel_send(int fd, struct bytes message);
/* One body into `into`. False at the end of the stream, or where the length cannot be one: the stream is
 * lost. */
MUST_USE bool psa_channel_receive(int fd, uint8_t into[PSA_MESSAGE_MAX], struct bytes *body);

#endif
