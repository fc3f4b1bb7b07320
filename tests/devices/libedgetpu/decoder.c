/* Another delegate: its operator, TestDecoder, gives the int8 it reads in reverse order. */

#include <stdlib.h>
#include <string.h>

#include "tflite_abi.h"

static Status invoke(Context* context, Node* node) {
  const Tensor* from = &context->tensors[node->inputs->data[0]];
  Tensor* to = &context->tensors[node->outputs->data[0]];
  for (size_t i = 0; i < to->bytes; ++i) to->uint8[i] = from->uint8[to->bytes - 1 - i];
  return STATUS_OK;
}

static Status prepare(Context* context, Delegate* delegate) {
  IntArray* plan;
  if (context->get_execution_plan(context, &plan) != STATUS_OK) return STATUS_ERROR;
  for (int i = 0; i < plan->size; ++i) {
    Node* node;
    Registration* registration;
    int index = plan->data[i];
    context->get_node_and_registration(context, index, &node, &registration);
    if (registration->custom_name == NULL) continue;
    if (strcmp(registration->custom_name, "TestDecoder") != 0) continue;
    struct {
      int size, data[1];
    } one = {1, {index}};
    Registration kernel = {.invoke = invoke, .custom_name = "decoder", .version = 1};
    return context->replace_node_subsets_with_delegate_kernels(context, kernel, (IntArray*)&one,
                                                               delegate);
  }
  return STATUS_OK;
}

Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count,
                                        void (*report_error)(const char*)) {
  (void)keys, (void)values, (void)count, (void)report_error;
  Delegate* delegate = calloc(1, sizeof *delegate);
  delegate->prepare = prepare;
  delegate->flags = DELEGATE_ALLOWS_DYNAMIC_TENSORS;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
