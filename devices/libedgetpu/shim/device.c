#define _GNU_SOURCE

#include "device.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keeper.h"

enum { LONGEST_NAME = 64 };

struct Device {
  atomic_int users;
  pid_t owner;    /* who opened the connection */
  int connection; /* guarded by the lock; -1: to be opened */
  char name[LONGEST_NAME];
  Request request;
};

/* One for all devices: what is asked under it is rare and short. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void before_fork(void) { pthread_mutex_lock(&lock); }

static void after_fork(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor(102))) static void watch_forks(void) {
  pthread_atfork(before_fork, after_fork, after_fork);
}

/* -- requests ---------------------------------------------------------------------------- */

static void add(Request* request, const char* text) {
  size_t size = strlen(text) + 1;
  if (request->size + size > sizeof request->text) {
    request->is_too_long = true;
    return;
  }
  memcpy(request->text + request->size, text, size);
  request->size += size;
}

void add_pair(Request* request, const char* key, const char* value) {
  add(request, key);
  add(request, value);
}

void begin_request(Request* request, char kind) {
  static const char* const variables[] = {"EDGETPU_PIPELINE_DEVICES", "EDGETPU_PIPELINE_CLOCK"};
  char directory[4096];
  request->is_too_long = false;
  request->text[0] = kind;
  request->size = 1;
  for (size_t i = 0; i < sizeof variables / sizeof *variables; ++i) {
    const char* value = getenv(variables[i]);
    if (value != NULL) add_pair(request, variables[i], value);
  }
  /* A pool file may be named relative to where the program is now. */
  if (getcwd(directory, sizeof directory) != NULL) add_pair(request, "directory", directory);
}

static bool fits(const Request* request, Error* error) {
  if (request->is_too_long) set_error(error, "the options of the delegate are too long");
  return !request->is_too_long;
}

static void explain(Outcome outcome, Error* error) {
  if (outcome == GONE) {
    set_error(error,
              "the process of the simulated Edge TPUs ended before it answered; what it wrote to "
              "standard error says why");
  } else if (outcome == LATE) {
    set_error(error, "the process of the simulated Edge TPUs does not answer");
  }
}

Outcome ask_keeper(const Request* request, char* answer, size_t capacity, size_t* answer_size,
                   Error* error) {
  if (!fits(request, error)) return REFUSED;
  int connection = connect_to_keeper(error);
  if (connection < 0) return REFUSED;
  Outcome outcome = GONE;
  if (send_packet(connection, request->text, request->size, NULL, 0)) {
    outcome = receive_answer(connection, 0, START_S, answer, capacity, answer_size, error);
  }
  explain(outcome, error);
  close(connection);
  return outcome;
}

/* -- opening ----------------------------------------------------------------------------- */

/* The lock is held.  A connection that a fork has inherited is the parent's: it is only closed. */
static void forget(Device* device) {
  if (device->connection >= 0) close(device->connection);
  device->connection = -1;
}

/* Asks for something of which the answer is the name of the device. */
static Outcome ask_for_device(Device* device, const void* data, size_t size, const int* fds,
                              int fd_count, Error* error) {
  char name[LONGEST_NAME];
  size_t length = 0;
  Outcome outcome = GONE;
  if (send_packet(device->connection, data, size, fds, fd_count)) {
    outcome = receive_answer(device->connection, 0, START_S, name, sizeof name - 1, &length, error);
  }
  explain(outcome, error);
  if (outcome == DONE) {
    memcpy(device->name, name, length);
    device->name[length] = '\0';
  }
  return outcome;
}

static Outcome reopen(Device* device, Error* error) {
  forget(device);
  device->owner = getpid();
  device->connection = connect_to_keeper(error);
  if (device->connection < 0) return REFUSED;
  Outcome outcome =
      ask_for_device(device, device->request.text, device->request.size, NULL, 0, error);
  if (outcome != DONE) forget(device);
  return outcome;
}

Device* open_device(const Request* request, Error* error) {
  if (!fits(request, error)) return NULL;
  Device* device = calloc(1, sizeof *device);
  if (device == NULL) {
    set_error(error, "there is no memory for a simulated Edge TPU");
    return NULL;
  }
  device->users = 1;
  device->connection = -1;
  device->request = *request;
  pthread_mutex_lock(&lock);
  Outcome outcome = reopen(device, error);
  pthread_mutex_unlock(&lock);
  if (outcome == DONE) return device;
  free(device);
  return NULL;
}

Device* one_more_user(Device* device) {
  atomic_fetch_add(&device->users, 1);
  return device;
}

void release_device(Device* device) {
  Error ignored;
  if (atomic_fetch_sub(&device->users, 1) > 1) return;
  /* The answer is waited for, so that who opens it again does not find it half gone. */
  if (device->connection >= 0 && device->owner == getpid()) {
    ask(device->connection, 0, "D", 1, NULL, 0, ANSWER_S, &ignored);
  }
  pthread_mutex_lock(&lock);
  forget(device);
  pthread_mutex_unlock(&lock);
  free(device);
}

const char* name_of(const Device* device) { return device->name; }

bool start_operator(Device* device, int socket, int package, Error* error) {
  const int fds[] = {socket, package};
  Outcome outcome = GONE;
  pthread_mutex_lock(&lock);
  if (device->owner != getpid()) forget(device);
  for (int tries = 0; tries < 2 && outcome == GONE; ++tries) {
    if (device->connection < 0 && reopen(device, error) != DONE) break;
    outcome = ask_for_device(device, "K", 1, fds, 2, error);
    if (outcome == GONE || outcome == LATE) forget(device);
  }
  pthread_mutex_unlock(&lock);
  return outcome == DONE;
}

void end_device(Device* device) {
  Error ignored;
  pthread_mutex_lock(&lock);
  if (device->owner == getpid() && device->connection >= 0) {
    ask(device->connection, 0, "X", 1, NULL, 0, ANSWER_S, &ignored);
  }
  pthread_mutex_unlock(&lock);
}
