/* A TFLite host in little: one custom operator, a delegate from the library, many inferences.

   Usage: host LIBRARY PACKAGE IMAGE THREADS INVOKES LOADS

   PACKAGE is the content of an operator with one input of int8 [1,16,16,3] and one output of int8
   [1,5]; IMAGE is such an input.  Each of THREADS loads the library's delegate, has it take the
   operator, invokes it INVOKES times, and lets all go again; then the library is unloaded.  That is
   done LOADS times.  Prints the output, of which every inference must give the same.  Fails if it is
   left with more descriptors than it had. */

#define _GNU_SOURCE

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflite_abi.h"

enum { INPUT_BYTES = 16 * 16 * 3, OUTPUT_BYTES = 5, MOST_TENSORS = 8, LONG = 88 };

typedef struct {
  Context context; /* first: the delegate is given its address */
  Tensor tensors[MOST_TENSORS];
  Node node;
  union {
    Registration all;
    char bytes[LONG]; /* as much as LiteRT copies of it */
  } registration;
  bool is_replaced;
} Model;

typedef Delegate* Create(char**, char**, size_t, void (*)(const char*));
typedef void Destroy(Delegate*);

static void* package;
static size_t package_bytes;
static char image[INPUT_BYTES];
static char expected[OUTPUT_BYTES];
static bool is_known;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int invokes;
static Create* create;
static Destroy* destroy;

static void fail(const char* what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static IntArray* array(int size, const int* data) {
  IntArray* made = malloc(sizeof *made + (size_t)size * sizeof(int));
  made->size = size;
  memcpy(made->data, data, (size_t)size * sizeof(int));
  return made;
}

/* -- what a host gives a delegate ------------------------------------------------------------ */

static Status get_execution_plan(Context* context, IntArray** plan) {
  static __thread struct {
    int size, data[1];
  } one = {1, {0}};
  (void)context;
  *plan = (IntArray*)&one;
  return STATUS_OK;
}

static Status resize_tensor(Context* context, Tensor* tensor, IntArray* dims) {
  (void)context;
  size_t bytes = 1;
  for (int i = 0; i < dims->size; ++i) bytes *= (size_t)dims->data[i];
  free(tensor->dims);
  tensor->dims = dims;
  if (tensor->bytes != bytes) {
    free(tensor->data);
    tensor->data = calloc(bytes, 1);
    tensor->bytes = bytes;
  }
  return STATUS_OK;
}

static void report_error(Context* context, const char* format, ...) {
  (void)context;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
}

static Status add_tensors(Context* context, int count, int* first) {
  *first = (int)context->tensors_size;
  context->tensors_size += (size_t)count;
  return context->tensors_size <= MOST_TENSORS ? STATUS_OK : STATUS_ERROR;
}

static Status get_node(Context* context, int index, Node** node, Registration** registration) {
  Model* model = (Model*)context;
  if (index != 0) return STATUS_ERROR;
  *node = &model->node;
  *registration = &model->registration.all;
  return STATUS_OK;
}

static Status replace(Context* context, Registration given, const IntArray* nodes,
                      Delegate* delegate) {
  Model* model = (Model*)context;
  IntArray* copy = array(nodes->size, nodes->data);
  DelegateParams params = {delegate, copy, model->node.inputs, model->node.outputs};
  void* data = given.init(context, (const char*)&params, 0);
  memcpy(model->registration.bytes, &given, LONG);
  model->node.user_data = data;
  model->is_replaced = true;
  free(copy);
  return STATUS_OK;
}

/* -- one model -------------------------------------------------------------------------------- */

static Tensor tensor_of(int rank, const int* dims, size_t bytes) {
  Tensor tensor = {.type = 9 /* kTfLiteInt8 */, .dims = array(rank, dims), .bytes = bytes};
  tensor.data = calloc(bytes, 1);
  return tensor;
}

static Model* make_model(void) {
  const int input_dims[] = {1, 16, 16, 3}, output_dims[] = {1, 5}, first = 0, second = 1;
  Model* model = calloc(1, sizeof *model);
  model->context = (Context){.tensors_size = 2,
                             .get_execution_plan = get_execution_plan,
                             .tensors = model->tensors,
                             .resize_tensor = resize_tensor,
                             .report_error = report_error,
                             .add_tensors = add_tensors,
                             .get_node_and_registration = get_node,
                             .replace_node_subsets_with_delegate_kernels = replace};
  model->tensors[0] = tensor_of(4, input_dims, INPUT_BYTES);
  model->tensors[1] = tensor_of(2, output_dims, OUTPUT_BYTES);
  model->node = (Node){.inputs = array(1, &first),
                       .outputs = array(1, &second),
                       .temporaries = NULL,
                       .custom_initial_data = package,
                       .custom_initial_data_size = (int)package_bytes};
  model->registration.all.custom_name = "edgetpu-custom-op";
  return model;
}

static void free_model(Model* model) {
  if (model->is_replaced) {
    model->registration.all.free(&model->context, model->node.user_data);
  }
  for (size_t i = 0; i < model->context.tensors_size; ++i) {
    free(model->tensors[i].data);
    free(model->tensors[i].dims);
  }
  free(model->node.inputs);
  free(model->node.outputs);
  free(model->node.temporaries);
  free(model);
}

static void check(const char* output) {
  pthread_mutex_lock(&lock);
  if (!is_known) memcpy(expected, output, OUTPUT_BYTES);
  is_known = true;
  if (memcmp(expected, output, OUTPUT_BYTES) != 0) fail("another output than before");
  pthread_mutex_unlock(&lock);
}

static void say(const char* error) { fprintf(stderr, "%s\n", error); }

static void* work(void* unused) {
  char* keys[] = {"device"};
  char* values[] = {"usb:0"};
  Delegate* delegate = create(keys, values, 1, say);
  if (delegate == NULL) fail("there is no delegate");
  Model* model = make_model();
  if (delegate->prepare(&model->context, delegate) != STATUS_OK || !model->is_replaced) {
    fail("the operator was not taken");
  }
  const Registration* kernel = &model->registration.all;
  if (kernel->prepare(&model->context, &model->node) != STATUS_OK) fail("it cannot be prepared");
  for (int i = 0; i < invokes; ++i) {
    memcpy(model->tensors[0].data, image, INPUT_BYTES);
    memset(model->tensors[1].data, 0, OUTPUT_BYTES);
    if (kernel->invoke(&model->context, &model->node) != STATUS_OK) fail("it cannot be invoked");
    check(model->tensors[1].bytes_of);
  }
  free_model(model);
  destroy(delegate);
  return unused;
}

static void* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) fail(path);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  void* content = malloc(*size);
  if (fread(content, 1, *size, file) != *size) fail(path);
  fclose(file);
  return content;
}

static int open_descriptors(void) {
  DIR* directory = opendir("/proc/self/fd");
  int found = 0;
  while (readdir(directory) != NULL) ++found;
  closedir(directory);
  return found;
}

int main(int count, char** arguments) {
  if (count != 7) fail("usage: host LIBRARY PACKAGE IMAGE THREADS INVOKES LOADS");
  size_t size;
  package = read_file(arguments[2], &package_bytes);
  void* content = read_file(arguments[3], &size);
  if (size != INPUT_BYTES) fail(arguments[3]);
  memcpy(image, content, size);
  free(content);
  int threads = atoi(arguments[4]), loads = atoi(arguments[6]);
  invokes = atoi(arguments[5]);
  pthread_t* running = calloc((size_t)threads, sizeof *running);
  int descriptors = open_descriptors();
  for (int load = 0; load < loads; ++load) {
    void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fail(dlerror());
    create = (Create*)dlsym(library, "tflite_plugin_create_delegate");
    destroy = (Destroy*)dlsym(library, "tflite_plugin_destroy_delegate");
    for (int i = 0; i < threads; ++i) pthread_create(&running[i], NULL, work, NULL);
    for (int i = 0; i < threads; ++i) pthread_join(running[i], NULL);
    dlclose(library);
  }
  if (open_descriptors() != descriptors) fail("descriptors are left open");
  for (int i = 0; i < OUTPUT_BYTES; ++i) printf("%d ", expected[i]);
  printf("\n");
  free(running);
  free(package);
  return 0;
}
