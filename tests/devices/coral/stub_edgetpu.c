/* A library with the exports of libedgetpu and no Edge TPU behind them, for tests.

   The folder named by STUB_EDGETPU is read at every call, so a test can change the world while the
   library is in use:

     devices     one device a line, "usb /sys/bus/usb/devices/2-1" or "pci /dev/apex_0"; the order is
                 the order in which they are listed
     behaviour   words: busy hang-list abort-list hang-create abort-create fail-prepare abort-invoke
                 hang-invoke fail-invoke hang-free old-struct simulated
     calls       appended to here: every call and its arguments, a line each

   The delegate takes every edgetpu-custom-op and "computes" each output byte as the byte of input 0
   at that place, counted modulo its size, plus 1.  With old-struct it hands over what a library of
   TensorFlow 2.5 does: a registration of 64 bytes, with whatever lies on the stack behind it, and a
   delegate of 48 bytes with whatever the heap has behind it.

   The structs are those of tensorflow/lite/c/common.h, as far as they are needed. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct { float scale; int32_t zero_point; } QuantizationParams;
typedef struct {
  int type; void *data; IntArray *dims; QuantizationParams params; int allocation_type;
  size_t bytes; const void *allocation; const char *name; void *delegate; int buffer_handle;
  char data_is_stale, is_variable; struct { int type; void *params; } quantization;
  void *sparsity; const IntArray *dims_signature;
} Tensor;
typedef struct {
  IntArray *inputs, *outputs, *intermediates, *temporaries; void *user_data, *builtin_data;
  const void *custom_initial_data; int custom_initial_data_size; void *delegate;
} Node;
typedef struct Context Context;
typedef struct {
  void *(*init)(Context *, const char *, size_t); void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *); int (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code; const char *custom_name; int version;
} OldRegistration; /* 64 bytes */
typedef struct { OldRegistration old; void *external, *async_kernel; uint64_t inplace; } NewRegistration;
struct Context {
  size_t tensors_size; int (*execution_plan)(Context *, IntArray **); Tensor *tensors; void *impl;
  int (*resize_tensor)(Context *, Tensor *, IntArray *);
  void (*report_error)(Context *, const char *, ...); int (*add_tensors)(Context *, int, int *);
  int (*node_and_registration)(Context *, int, Node **, OldRegistration **);
  int (*replace)(Context *, NewRegistration, const IntArray *, void *);
};
typedef struct {
  void *data; int (*prepare)(Context *, void *); void *from_buffer, *to_buffer, *free_buffer;
  int64_t flags; void *opaque_delegate_builder;
} Delegate;

typedef struct { int type; const char *path; } Device; /* 0: PCIe, 1: USB */
typedef struct { const char *name, *value; } Option;

static void at(char *path, const char *name) {
  const char *folder = getenv("STUB_EDGETPU");
  snprintf(path, 4096, "%s/%s", folder ? folder : "/nonexistent", name);
}

static int behaves(const char *word) {
  char path[4096], found[64];
  at(path, "behaviour");
  FILE *file = fopen(path, "r");
  int yes = 0;
  while (file && !yes && fscanf(file, "%63s", found) == 1) yes = strcmp(found, word) == 0;
  if (file) fclose(file);
  return yes;
}

static void misbehave(const char *where) {
  char word[64];
  snprintf(word, sizeof word, "hang-%s", where);
  if (behaves(word)) for (;;) pause();
  snprintf(word, sizeof word, "abort-%s", where);
  if (behaves(word)) { fprintf(stderr, "F stub_edgetpu.c] Bulk-in failed. Abort\n"); abort(); }
}

static void note(const char *format, ...) {
  char path[4096];
  at(path, "calls");
  FILE *file = fopen(path, "a");
  if (!file) return;
  va_list values;
  va_start(values, format);
  vfprintf(file, format, values);
  va_end(values);
  fclose(file);
}

Device *edgetpu_list_devices(size_t *count) {
  char path[4096], type[16], name[4000];
  misbehave("list");
  *count = 0;
  at(path, "devices");
  FILE *file = fopen(path, "r");
  if (!file) return NULL;
  Device *devices = calloc(64, sizeof *devices);
  while (*count < 64 && fscanf(file, "%15s %3999s", type, name) == 2) {
    devices[*count].type = strcmp(type, "usb") == 0;
    devices[(*count)++].path = strdup(name);
  }
  fclose(file);
  if (*count == 0) { free(devices); return NULL; } /* as libedgetpu does */
  return devices;
}

void edgetpu_free_devices(Device *devices) { free(devices); }

const char *edgetpu_version(void) {
  return behaves("simulated") ? "BuildLabel(edgetpu-pipeline), RuntimeVersion(14)"
                              : "BuildLabel(STUB=1), RuntimeVersion(14)";
}

void edgetpu_verbosity(int level) { note("verbosity %d\n", level); }

static void *op_init(Context *context, const char *buffer, size_t length) { return NULL; }
static void op_free(Context *context, void *data) {}
static int op_prepare(Context *context, Node *node) {
  if (!behaves("fail-prepare")) return 0;
  context->report_error(context, "Failed to prepare for TPU. Package requires runtime version (15), "
                                 "which is newer than this runtime version (14).");
  return 1;
}
static int op_invoke(Context *context, Node *node) {
  misbehave("invoke");
  if (behaves("fail-invoke")) {
    context->report_error(context, "Failed to execute request. HIB Error.");
    return 1;
  }
  Tensor *input = &context->tensors[node->inputs->data[0]];
  for (int i = 0; i < node->outputs->size; i++) {
    Tensor *output = &context->tensors[node->outputs->data[i]];
    for (size_t place = 0; place < output->bytes; place++)
      ((uint8_t *)output->data)[place] = ((uint8_t *)input->data)[place % input->bytes] + 1;
  }
  return 0;
}

static int delegate_prepare(Context *context, void *delegate) {
  IntArray *plan, *taken;
  if (context->execution_plan(context, &plan)) return 1;
  taken = calloc(1, sizeof(int) * (1 + (size_t)plan->size));
  for (int i = 0; i < plan->size; i++) {
    Node *node;
    OldRegistration *registration;
    if (context->node_and_registration(context, plan->data[i], &node, &registration)) return 1;
    if (registration->custom_name && strcmp(registration->custom_name, "edgetpu-custom-op") == 0)
      taken->data[taken->size++] = plan->data[i];
  }
  NewRegistration made = {{op_init, op_free, op_prepare, op_invoke, NULL, 0, "edgetpu-custom-op", 1},
                          NULL, NULL, 0};
  if (behaves("old-struct")) { /* the stack behind the 64 bytes that were meant */
    made.external = (void *)0x7f00dead0000;
    made.async_kernel = (void *)0x7f00dead1000;
    made.inplace = 0xdeadbeefcafef00d;
  }
  int status = context->replace(context, made, taken, delegate);
  free(taken);
  return status;
}

Delegate *edgetpu_create_delegate(int type, const char *name, const Option *options, size_t count) {
  note("create %s %s", type ? "usb" : "pci", name ? name : "any");
  for (size_t i = 0; i < count; i++) note(" %s=%s", options[i].name, options[i].value);
  note("\n");
  misbehave("create");
  if (behaves("busy")) {
    fprintf(stderr, "E driver.cc] Failed to open device\n");
    return NULL;
  }
  Delegate *made = calloc(1, sizeof *made);
  made->prepare = delegate_prepare;
  made->flags = 1; /* kTfLiteDelegateFlagsAllowDynamicTensors */
  if (behaves("old-struct")) made->opaque_delegate_builder = (void *)0x7f00dead2000;
  return made;
}

void edgetpu_free_delegate(Delegate *delegate) {
  misbehave("free");
  note("free\n");
  free(delegate);
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                        void (*report)(const char *)) {
  return edgetpu_create_delegate(1, NULL, NULL, 0);
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { edgetpu_free_delegate(delegate); }
