/* Runs a compiled model through TFLite's C API, with the library as its delegate.

   Usage: tflite_c_api libtensorflowlite_c.so libedgetpu.so.1 MODEL IMAGE

   Prints the bytes of the first output as int8.  Prototypes are those of tensorflow/lite/c/c_api.h. */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void* tflite;
static void* edgetpu;

static void* need(void* library, const char* name) {
  void* found = library ? dlsym(library, name) : NULL;
  if (found == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  return found;
}

#define CALL(type, name, ...) ((type)need(tflite, name))(__VA_ARGS__)

typedef void* (*OfNothing)(void);
typedef void* (*OfOne)(const void*);
typedef void* (*OfTwo)(const void*, const void*);
typedef void* (*OfIndex)(const void*, int);
typedef int (*Status)(void*);
typedef int (*Copy)(void*, void*, size_t);
typedef size_t (*Size)(const void*);
typedef void (*Delete)(void*);
typedef void* (*Create)(int, const char*, const void*, size_t);

int main(int count, char** arguments) {
  if (count != 5) return 1;
  tflite = dlopen(arguments[1], RTLD_NOW);
  edgetpu = dlopen(arguments[2], RTLD_NOW);
  void* delegate = ((Create)need(edgetpu, "edgetpu_create_delegate"))(1, NULL, NULL, 0);
  if (delegate == NULL) return 1;
  void* model = CALL(OfOne, "TfLiteModelCreateFromFile", arguments[3]);
  void* options = CALL(OfNothing, "TfLiteInterpreterOptionsCreate");
  CALL(OfTwo, "TfLiteInterpreterOptionsAddDelegate", options, delegate);
  void* interpreter = CALL(OfTwo, "TfLiteInterpreterCreate", model, options);
  if (interpreter == NULL) return 1;
  if (CALL(Status, "TfLiteInterpreterAllocateTensors", interpreter) != 0) return 1;
  void* input = CALL(OfIndex, "TfLiteInterpreterGetInputTensor", interpreter, 0);
  size_t size = CALL(Size, "TfLiteTensorByteSize", input);
  char* content = malloc(size);
  FILE* image = fopen(arguments[4], "rb");
  if (image == NULL || fread(content, 1, size, image) != size) return 1;
  fclose(image);
  if (CALL(Copy, "TfLiteTensorCopyFromBuffer", input, content, size) != 0) return 1;
  if (CALL(Status, "TfLiteInterpreterInvoke", interpreter) != 0) return 1;
  void* output = CALL(OfIndex, "TfLiteInterpreterGetOutputTensor", interpreter, 0);
  size = CALL(Size, "TfLiteTensorByteSize", output);
  content = realloc(content, size);
  if (CALL(Copy, "TfLiteTensorCopyToBuffer", output, content, size) != 0) return 1;
  for (size_t i = 0; i < size; ++i) printf("%d ", (signed char)content[i]);
  printf("\n");
  free(content);
  CALL(Delete, "TfLiteInterpreterDelete", interpreter);
  CALL(Delete, "TfLiteInterpreterOptionsDelete", options);
  CALL(Delete, "TfLiteModelDelete", model);
  ((Delete)need(edgetpu, "edgetpu_free_delegate"))(delegate);
  return 0;
}
