/* What the library exports: the plugin interface of TFLite's delegates, and libedgetpu's C API
   (edgetpu_c.h). */

#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "operator.h"
#include "tflite_abi.h"

#define EXPORTED __attribute__((visibility("default")))

enum { MOST_DEVICES_BYTES = LARGEST_PACKET };

/* -- the delegate ---------------------------------------------------------------------------- */

static bool is_ours(Context* context, int index, bool* failed) {
  Node* node;
  Registration* registration;
  if (context->get_node_and_registration(context, index, &node, &registration) != STATUS_OK) {
    *failed = true;
    return false;
  }
  return registration->custom_name != NULL &&
         strcmp(registration->custom_name, custom_operator) == 0;
}

static Status take_operators(Context* context, Delegate* delegate) {
  IntArray* plan;
  if (context->get_execution_plan(context, &plan) != STATUS_OK) return STATUS_ERROR;
  /* A copy: the plan changes with every replacement. */
  int count = plan->size;
  int* ours = malloc(((size_t)count + 1) * sizeof *ours);
  IntArray* one = malloc(sizeof *one + sizeof(int));
  Status status = ours == NULL || one == NULL ? STATUS_ERROR : STATUS_OK;
  int found = 0;
  for (int i = 0; i < count && status == STATUS_OK; ++i) {
    bool failed = false;
    if (is_ours(context, plan->data[i], &failed)) ours[found++] = plan->data[i];
    if (failed) status = STATUS_ERROR;
  }
  /* One by one: operators replaced together become one kernel, and tensors between them vanish. */
  for (int i = 0; i < found && status == STATUS_OK; ++i) {
    one->size = 1;
    one->data[0] = ours[i];
    status = context->replace_node_subsets_with_delegate_kernels(context, operator_kernel(), one,
                                                                 delegate);
  }
  free(one);
  free(ours);
  return status;
}

static Delegate* delegate_of(const Request* request, Error* error) {
  Device* device = open_device(request, error);
  if (device == NULL) return NULL;
  Delegate* delegate = calloc(1, sizeof *delegate);
  if (delegate == NULL) {
    release_device(device);
    set_error(error, "there is no memory for a delegate");
    return NULL;
  }
  delegate->data = device;
  delegate->prepare = take_operators;
  /* Else the host prepares the model first, and finds an operator that nobody can compute. */
  delegate->flags = DELEGATE_ALLOWS_DYNAMIC_TENSORS;
  return delegate;
}

static void destroy(Delegate* delegate) {
  if (delegate == NULL) return;
  release_device(delegate->data);
  free(delegate);
}

static void complain(const Error* error) { fprintf(stderr, "%s\n", error->text); }

/* -- plugin of TFLite ------------------------------------------------------------------------- */

EXPORTED Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count,
                                                 void (*report_error)(const char*)) {
  Error error;
  Request* request = malloc(sizeof *request);
  if (request == NULL) return NULL;
  begin_request(request, 'O');
  for (size_t i = 0; i < count; ++i) {
    add_pair(request, "option", keys[i]);
    add_pair(request, "value", values[i]);
  }
  Delegate* delegate = delegate_of(request, &error);
  free(request);
  if (delegate == NULL && report_error != NULL) report_error(error.text);
  return delegate;
}

EXPORTED void tflite_plugin_destroy_delegate(Delegate* delegate) { destroy(delegate); }

/* -- C API of libedgetpu ---------------------------------------------------------------------- */

enum edgetpu_device_type { EDGETPU_APEX_PCI = 0, EDGETPU_APEX_USB = 1 };

struct edgetpu_device {
  enum edgetpu_device_type type;
  const char* path;
};

struct edgetpu_option {
  const char* name;
  const char* value;
};

EXPORTED struct edgetpu_device* edgetpu_list_devices(size_t* count) {
  Error error;
  Request* request = malloc(sizeof *request);
  char* answer = malloc(MOST_DEVICES_BYTES);
  struct edgetpu_device* devices = NULL;
  size_t size = 0;
  *count = 0;
  if (request != NULL && answer != NULL) {
    begin_request(request, 'L');
    /* A line each: "usb simulated/usb:0". */
    if (ask_keeper(request, answer, MOST_DEVICES_BYTES, &size, &error) == DONE) {
      size_t lines = 0;
      for (size_t i = 0; i < size; ++i) lines += answer[i] == '\n';
      if (lines > 0) devices = malloc(lines * sizeof *devices + size);
      if (devices != NULL) {
        char* text = (char*)(devices + lines); /* freed with the list */
        memcpy(text, answer, size);
        for (; *count < lines; ++*count) {
          char* end = memchr(text, '\n', size);
          *end = '\0';
          devices[*count].type = text[0] == 'p' ? EDGETPU_APEX_PCI : EDGETPU_APEX_USB;
          devices[*count].path = text + 4; /* behind "usb " or "pci " */
          size -= (size_t)(end + 1 - text);
          text = end + 1;
        }
      }
    } else {
      complain(&error);
    }
  }
  free(answer);
  free(request);
  return devices;
}

EXPORTED void edgetpu_free_devices(struct edgetpu_device* devices) { free(devices); }

EXPORTED Delegate* edgetpu_create_delegate(enum edgetpu_device_type type, const char* name,
                                           const struct edgetpu_option* options, size_t count) {
  Error error;
  Request* request = malloc(sizeof *request);
  if (request == NULL) return NULL;
  begin_request(request, 'O');
  add_pair(request, "type", type == EDGETPU_APEX_PCI ? "pci" : "usb");
  if (name != NULL) add_pair(request, "path", name);
  for (size_t i = 0; i < count; ++i) {
    add_pair(request, "option", options[i].name);
    add_pair(request, "value", options[i].value);
  }
  Delegate* delegate = delegate_of(request, &error);
  free(request);
  if (delegate == NULL) complain(&error);
  return delegate;
}

EXPORTED void edgetpu_free_delegate(Delegate* delegate) { destroy(delegate); }

EXPORTED void edgetpu_verbosity(int verbosity) {
  Error error;
  char text[16];
  Request* request = malloc(sizeof *request);
  if (request == NULL) return;
  begin_request(request, 'V');
  snprintf(text, sizeof text, "%d", verbosity);
  add_pair(request, "verbosity", text);
  if (ask_keeper(request, NULL, 0, NULL, &error) != DONE) complain(&error);
  free(request);
}

EXPORTED const char* edgetpu_version(void) {
  return "BuildLabel(edgetpu-pipeline), RuntimeVersion(14)";
}
