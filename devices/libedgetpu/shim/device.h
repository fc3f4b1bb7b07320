/* A simulated Edge TPU that is open: what a delegate and the operators it took have in common. */

#ifndef EDGETPU_PIPELINE_DEVICE_H_
#define EDGETPU_PIPELINE_DEVICE_H_

#include "exchange.h"

enum {
  ANSWER_S = 10,   /* for what a process answers at once */
  START_S = 90,    /* for a device to start, at the longest */
  LOAD_S = 60,     /* for a device to load a model */
  INVOKE_S = 60,   /* for one inference */
};

typedef struct Device Device;

/* A request in the making: pairs of strings, each ended by a zero. */
typedef struct {
  char text[LARGEST_PACKET / 2];
  size_t size;
  bool is_too_long;
} Request;

/* Begins a request of that kind, with the variables of the environment that devices depend on. */
void begin_request(Request* request, char kind);

void add_pair(Request* request, const char* key, const char* value);

/* Opens the device that a request of kind 'O' asks for; NULL, with the error, if that fails. */
Device* open_device(const Request* request, Error* error);

Device* one_more_user(Device* device);

/* The last user lets the device go. */
void release_device(Device* device);

const char* name_of(const Device* device);

/* Has the device serve an operator: its content, in a memory file, at the other end of a socket
   pair.  Opens the device again where that is needed: after a fork, and after its end. */
bool start_operator(Device* device, int socket, int package, Error* error);

/* Ends a device that does not answer; it is started again when it is needed. */
void end_device(Device* device);

/* Asks the keeper for something else, on a connection of its own. */
Outcome ask_keeper(const Request* request, char* answer, size_t capacity, size_t* answer_size,
                   Error* error);

#endif
