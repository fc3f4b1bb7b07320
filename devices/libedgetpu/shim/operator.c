#define _GNU_SOURCE

#include "operator.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

const char custom_operator[] = "edgetpu-custom-op";

enum {
  MOST_DIMENSIONS = 8,
  ALIGNMENT = 64, /* of tensors in the shared memory */
  MOST_TRIES = 3, /* to find a device that lives until the operator is loaded */
};

/* What a device says of one tensor of the operator, of one batch. */
typedef struct {
  int64_t type, bytes, rank, dims[MOST_DIMENSIONS];
  size_t offset; /* in the shared memory */
} Spec;

typedef struct {
  Device* device;
  int index_count, input_count; /* of tensors, of which the inputs come first */
  int* indices;                 /* of tensors in the model */
  const void* package;          /* of the model, which outlives its kernels */
  size_t package_bytes;
  pid_t owner; /* who is connected */
  int socket;  /* to the device; -1: not connected */
  pid_t peer;  /* the device's process */
  uint8_t* memory;
  size_t memory_bytes;
  Spec* specs; /* of as many tensors; NULL before the first connection */
  bool has_state;
  int state_tensor; /* index; -1: none */
  int batches;
  atomic_int is_busy;
} Operator;

/* -- connected to a device ------------------------------------------------------------------ */

static void disconnect(Operator* self) {
  if (self->socket >= 0) close(self->socket);
  if (self->memory != NULL) munmap(self->memory, self->memory_bytes);
  self->socket = -1;
  self->memory = NULL;
}

static int memory_with(const void* data, size_t size, Error* error) {
  int fd = make_memory(custom_operator, size, error);
  for (size_t done = 0; fd >= 0 && done < size;) {
    ssize_t written = pwrite(fd, (const char*)data + done, size - done, (off_t)done);
    if (written > 0) {
      done += (size_t)written;
    } else if (written == 0 || errno != EINTR) {
      set_error(error, "the model cannot be handed to the simulated Edge TPU (%s)",
                strerror(errno));
      close(fd);
      fd = -1;
    }
  }
  return fd;
}

/* What the device answers once it has loaded the operator: numbers of inputs and outputs, whether
   there is a state, its process, and for each tensor its type, bytes, rank and dimensions. */
static bool understand(Operator* self, const int64_t* answer, size_t count, Error* error) {
  if (count < 4 || answer[0] != self->input_count ||
      answer[0] + answer[1] != self->index_count) {
    set_error(error, "%s has %d inputs and %d outputs, which are not those of its package",
              custom_operator, self->input_count, self->index_count - self->input_count);
    return false;
  }
  if (self->specs == NULL) self->specs = calloc((size_t)self->index_count, sizeof(Spec));
  if (self->specs == NULL) {
    set_error(error, "there is no memory for a simulated Edge TPU");
    return false;
  }
  self->has_state = answer[2] != 0;
  self->peer = (pid_t)answer[3];
  self->memory_bytes = 0;
  size_t at = 4;
  for (int i = 0; i < self->index_count; ++i) {
    Spec* spec = &self->specs[i];
    int64_t rank = at + 3 <= count ? answer[at + 2] : -1;
    if (rank < 0 || rank > MOST_DIMENSIONS || at + 3 + (size_t)rank > count) {
      set_error(error, "%s has a tensor of more than %d dimensions", custom_operator,
                MOST_DIMENSIONS);
      return false;
    }
    spec->type = answer[at];
    spec->bytes = answer[at + 1];
    spec->rank = rank;
    memcpy(spec->dims, answer + at + 3, (size_t)rank * sizeof *answer);
    spec->offset = self->memory_bytes;
    size_t room = (size_t)spec->bytes + ALIGNMENT - 1;
    self->memory_bytes += room - room % ALIGNMENT;
    at += 3 + (size_t)rank;
  }
  if (self->memory_bytes == 0) self->memory_bytes = ALIGNMENT;
  return true;
}

static Outcome share_memory(Operator* self, Error* error) {
  int fd = make_memory("tensors", self->memory_bytes, error);
  if (fd < 0) return REFUSED;
  Outcome outcome = REFUSED;
  void* memory = mmap(NULL, self->memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) {
    set_error(error, "memory cannot be shared with the simulated Edge TPU (%s)", strerror(errno));
  } else {
    self->memory = memory;
    outcome = ask(self->socket, self->peer, "M", 1, &fd, 1, ANSWER_S, error);
  }
  close(fd);
  return outcome;
}

static Outcome connect_once(Operator* self, Error* error) {
  int ends[2];
  disconnect(self);
  int package = memory_with(self->package, self->package_bytes, error);
  if (package < 0) return REFUSED;
  if (!make_pair(ends, error)) {
    close(package);
    return REFUSED;
  }
  bool started = start_operator(self->device, ends[1], package, error);
  close(ends[1]);
  close(package);
  self->socket = ends[0];
  self->owner = getpid();
  Outcome outcome = REFUSED;
  if (started) {
    int64_t* answer = malloc(LARGEST_PACKET);
    size_t size = 0;
    if (answer == NULL) {
      set_error(error, "there is no memory for a simulated Edge TPU");
    } else {
      outcome = receive_answer(self->socket, 0, LOAD_S, answer, LARGEST_PACKET, &size, error);
      if (outcome == DONE) {
        bool ok = understand(self, answer, size / sizeof *answer, error);
        outcome = ok ? share_memory(self, error) : REFUSED;
      }
    }
    free(answer);
  }
  if (outcome != DONE) disconnect(self);
  return outcome;
}

static bool connect_to_device(Operator* self, Error* error) {
  Outcome outcome = GONE;
  for (int tries = 0; tries < MOST_TRIES && outcome == GONE; ++tries) {
    outcome = connect_once(self, error);
  }
  if (outcome == GONE) {
    set_error(error, "the simulated Edge TPU %s ends whenever it loads the model",
              name_of(self->device));
  } else if (outcome == LATE || outcome == STOPPED) {
    end_device(self->device);
    set_error(error, "the simulated Edge TPU %s has not loaded the model within %d s",
              name_of(self->device), LOAD_S);
  }
  return outcome == DONE;
}

/* Connected, and not with what a fork has inherited: that is the parent's. */
static bool is_connected(const Operator* self) {
  return self->socket >= 0 && self->owner == getpid();
}

static Status fail(Context* context, const Error* error) {
  context->report_error(context, "%s\n", error->text);
  return STATUS_ERROR;
}

/* -- the kernel ------------------------------------------------------------------------------ */

static void free_operator(Operator* self) {
  disconnect(self);
  release_device(self->device);
  free(self->specs);
  free(self->indices);
  free(self);
}

static void* init(Context* context, const char* buffer, size_t length) {
  (void)length;
  const DelegateParams* params = (const DelegateParams*)buffer;
  Node* node;
  Registration* registration;
  int index = params->nodes_to_replace->data[0]; /* each node is replaced alone */
  if (context->get_node_and_registration(context, index, &node, &registration) != STATUS_OK) {
    return NULL;
  }
  Operator* self = calloc(1, sizeof *self);
  if (self == NULL) return NULL;
  self->device = one_more_user(params->delegate->data);
  self->package = node->custom_initial_data;
  self->package_bytes = node->custom_initial_data_size < 0 || self->package == NULL
                            ? 0
                            : (size_t)node->custom_initial_data_size;
  self->socket = -1;
  self->state_tensor = -1;
  self->input_count = node->inputs->size;
  self->index_count = node->inputs->size + node->outputs->size;
  self->indices = calloc((size_t)self->index_count + 1, sizeof *self->indices);
  if (self->indices == NULL) {
    free_operator(self);
    return NULL;
  }
  memcpy(self->indices, node->inputs->data, (size_t)node->inputs->size * sizeof(int));
  memcpy(self->indices + node->inputs->size, node->outputs->data,
         (size_t)node->outputs->size * sizeof(int));
  return self;
}

static void free_kernel(Context* context, void* user_data) {
  (void)context;
  if (user_data != NULL) free_operator(user_data);
}

/* How many batches of the model a tensor holds; 0 if it is none of that. */
static int64_t batches_in(const Spec* spec, const Tensor* tensor) {
  if (tensor->type != spec->type || tensor->dims == NULL || tensor->dims->size != spec->rank) {
    return 0;
  }
  for (int i = 1; i < spec->rank; ++i) {
    if (tensor->dims->data[i] != spec->dims[i]) return 0;
  }
  if (spec->rank == 0) return 1;
  if (spec->dims[0] <= 0) return tensor->dims->data[0] == spec->dims[0];
  return tensor->dims->data[0] % spec->dims[0] ? 0 : tensor->dims->data[0] / spec->dims[0];
}

/* As libedgetpu: a first dimension that is a multiple of the model's stands for so many requests. */
static bool count_batches(Operator* self, Context* context, Error* error) {
  for (int i = 0; i < self->input_count; ++i) {
    int index = self->indices[i];
    int64_t found = index < 0 ? 0 : batches_in(&self->specs[i], &context->tensors[index]);
    if (found < 1 || (i > 0 && found != self->batches)) {
      set_error(error,
                "input %d of %s has not the type and shape that the model was compiled for, nor a "
                "first dimension that is the same multiple of it as at the other inputs; resize it "
                "so, or compile the model for that shape",
                i, custom_operator);
      return false;
    }
    self->batches = (int)found;
  }
  return true;
}

static Status resize_outputs(Operator* self, Context* context) {
  for (int i = self->input_count; i < self->index_count; ++i) {
    const Spec* spec = &self->specs[i];
    IntArray* dims = malloc(sizeof *dims + (size_t)spec->rank * sizeof(int));
    if (dims == NULL) return STATUS_ERROR;
    dims->size = (int)spec->rank;
    for (int k = 0; k < spec->rank; ++k) dims->data[k] = (int)spec->dims[k];
    if (spec->rank > 0) dims->data[0] *= self->batches;
    Tensor* tensor = &context->tensors[self->indices[i]];
    if (context->resize_tensor(context, tensor, dims) != STATUS_OK) return STATUS_ERROR;
    if (tensor->type != spec->type || tensor->bytes != (size_t)spec->bytes * self->batches) {
      Error error;
      set_error(&error, "output %d of %s has not the type and size of its package",
                i - self->input_count, custom_operator);
      return fail(context, &error);
    }
  }
  return STATUS_OK;
}

/* A byte that the host sets to 0 when it is asked to reset the variables of the model.  The state
   itself is the device's, and nothing else tells a delegate of a reset. */
static Status add_state_tensor(Operator* self, Context* context, Node* node) {
  if (self->state_tensor < 0 &&
      context->add_tensors(context, 1, &self->state_tensor) != STATUS_OK) {
    return STATUS_ERROR;
  }
  IntArray* temporaries = malloc(sizeof *temporaries + sizeof(int));
  IntArray* dims = malloc(sizeof *dims + sizeof(int));
  if (temporaries == NULL || dims == NULL) {
    free(temporaries);
    free(dims);
    return STATUS_ERROR;
  }
  temporaries->size = dims->size = 1;
  temporaries->data[0] = self->state_tensor;
  dims->data[0] = 1;
  free(node->temporaries);
  node->temporaries = temporaries;
  Tensor* tensor = &context->tensors[self->state_tensor];
  tensor->type = TYPE_UINT8;
  tensor->allocation_type = ALLOCATION_ARENA_PERSISTENT;
  tensor->is_variable = true;
  return context->resize_tensor(context, tensor, dims);
}

static Status prepare(Context* context, Node* node) {
  Operator* self = node->user_data;
  Error error;
  if (self == NULL) {
    context->report_error(context, "there is no memory for a simulated Edge TPU");
    return STATUS_ERROR;
  }
  if (!is_connected(self) && !connect_to_device(self, &error)) return fail(context, &error);
  if (!count_batches(self, context, &error)) return fail(context, &error);
  if (resize_outputs(self, context) != STATUS_OK) return STATUS_ERROR;
  return self->has_state ? add_state_tensor(self, context, node) : STATUS_OK;
}

static Outcome request(Operator* self, char kind, Error* error) {
  Outcome outcome = ask(self->socket, self->peer, &kind, 1, NULL, 0, INVOKE_S, error);
  if (outcome == LATE) {
    end_device(self->device);
    set_error(error,
              "the simulated Edge TPU %s has not answered within %d s and was ended; the next "
              "inference starts it again",
              name_of(self->device), INVOKE_S);
  } else if (outcome == STOPPED) {
    end_device(self->device);
    set_error(error,
              "the process of the simulated Edge TPU %s is stopped and was ended; the next inference "
              "starts it again",
              name_of(self->device));
  } else if (outcome == GONE) {
    set_error(error,
              "the simulated Edge TPU %s ended during an inference; the next one starts it again",
              name_of(self->device));
  }
  if (outcome != DONE && outcome != REFUSED) disconnect(self);
  return outcome;
}

/* Copies one batch of the inputs to the device, or of the outputs from it. */
static void copy(Operator* self, Context* context, int batch, bool outputs) {
  int first = outputs ? self->input_count : 0;
  int end = outputs ? self->index_count : self->input_count;
  for (int i = first; i < end; ++i) {
    size_t bytes = (size_t)self->specs[i].bytes;
    uint8_t* theirs = self->memory + self->specs[i].offset;
    uint8_t* ours = context->tensors[self->indices[i]].uint8 + (size_t)batch * bytes;
    if (bytes > 0) memcpy(outputs ? ours : theirs, outputs ? theirs : ours, bytes);
  }
}

static bool tensors_fit(Operator* self, Context* context) {
  for (int i = 0; i < self->index_count; ++i) {
    const Tensor* tensor = &context->tensors[self->indices[i]];
    size_t bytes = (size_t)self->specs[i].bytes * (size_t)self->batches;
    if (tensor->bytes != bytes || (bytes > 0 && tensor->data == NULL)) return false;
  }
  return true;
}

static bool run(Operator* self, Context* context, Error* error) {
  if (!is_connected(self) && !connect_to_device(self, error)) return false;
  if (!tensors_fit(self, context)) {
    set_error(error, "a tensor of %s was resized and not allocated again", custom_operator);
    return false;
  }
  uint8_t* state = self->has_state ? context->tensors[self->state_tensor].uint8 : NULL;
  if (state != NULL && *state == 0 && request(self, 'Z', error) != DONE) return false;
  for (int batch = 0; batch < self->batches; ++batch) {
    copy(self, context, batch, false);
    if (request(self, 'R', error) != DONE) return false;
    copy(self, context, batch, true);
  }
  if (state != NULL) *state = 1;
  return true;
}

static Status invoke(Context* context, Node* node) {
  Operator* self = node->user_data;
  Error error;
  if (self->owner != getpid()) atomic_store(&self->is_busy, 0); /* another thread of the parent */
  if (atomic_exchange(&self->is_busy, 1)) {
    set_error(&error, "two threads invoke one interpreter at once; make one for each thread");
    return fail(context, &error);
  }
  bool ok = run(self, context, &error);
  atomic_store(&self->is_busy, 0);
  return ok ? STATUS_OK : fail(context, &error);
}

Registration operator_kernel(void) {
  return (Registration){
      .init = init,
      .free = free_kernel,
      .prepare = prepare,
      .invoke = invoke,
      .custom_name = "EdgeTpuDelegateForCustomOp", /* libedgetpu's, which messages show */
      .version = 1,
  };
}
