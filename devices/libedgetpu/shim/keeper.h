/* The process that keeps this program's simulated devices: found, started, reached.

   It is a Python process (devices/libedgetpu/keeper.py), started when the first device is asked
   for and ended by the end of its control connection, however this program ends.  A forked child
   has none and starts its own. */

#ifndef EDGETPU_PIPELINE_KEEPER_H_
#define EDGETPU_PIPELINE_KEEPER_H_

#include "exchange.h"

/* A connection of one's own to the keeper; -1, with the error, if it cannot be had. */
int connect_to_keeper(Error* error);

#endif
