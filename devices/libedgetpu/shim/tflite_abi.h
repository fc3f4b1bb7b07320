/* The part of TFLite's C interface (tensorflow/lite/core/c/common.h) that a delegate uses.

   Declared here because no header of TFLite is needed to build the library then, and because the
   layouts have been the same, as far as they are used, since TFLite 2.5.  What was added since lies
   behind these fields; see Registration for the one structure where that matters. */

#ifndef EDGETPU_PIPELINE_TFLITE_ABI_H_
#define EDGETPU_PIPELINE_TFLITE_ABI_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(sizeof(void*) == 8, "the layouts below are those of 64-bit systems");

typedef enum { STATUS_OK = 0, STATUS_ERROR = 1 } Status;

enum { TYPE_UINT8 = 3 };                   /* kTfLiteUInt8 */
enum { ALLOCATION_ARENA_PERSISTENT = 3 };  /* kTfLiteArenaRwPersistent */
enum { DELEGATE_ALLOWS_DYNAMIC_TENSORS = 1 };

typedef struct {
  int size;
  int data[];
} IntArray;

typedef struct {
  int type;
  union {
    void* data;
    char* bytes_of;
    uint8_t* uint8;
  };
  IntArray* dims;
  struct {
    float scale;
    int32_t zero_point;
  } params;
  int allocation_type;
  size_t bytes;
  const void* allocation;
  const char* name;
  struct Delegate* delegate;
  int buffer_handle;
  bool data_is_stale;
  bool is_variable;
  struct {
    int type;
    void* params;
  } quantization;
  void* sparsity;
  const IntArray* dims_signature;
} Tensor;

_Static_assert(sizeof(Tensor) == 112, "TfLiteTensor");

typedef struct {
  IntArray* inputs;
  IntArray* outputs;
  IntArray* intermediates;
  IntArray* temporaries;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
} Node;

typedef struct Context Context;

/* TfLiteRegistration has 64 bytes in TFLite 2.5 and 88 in LiteRT 2.3.  A host copies as many as it
   knows from the one it is handed, by value: on the stack as the only thing there (x86-64), or by
   the address of a copy (AArch64, RISC-V).  So one that is larger than any host's, with zeros at
   its end, is each of the layouts: every host reads its own, and of fields added later that
   nothing is set. */
typedef struct {
  void* (*init)(Context*, const char* buffer, size_t length);
  void (*free)(Context*, void* user_data);
  Status (*prepare)(Context*, Node*);
  Status (*invoke)(Context*, Node*);
  const char* (*profiling_string)(const Context*, const Node*);
  int32_t builtin_code;
  const char* custom_name;
  int version; /* up to here 64 bytes */
  void* added_later[8];
} Registration;

_Static_assert(offsetof(Registration, added_later) == 64, "TfLiteRegistration of TFLite 2.5");

struct Context {
  size_t tensors_size;
  Status (*get_execution_plan)(Context*, IntArray**);
  Tensor* tensors;
  void* impl;
  Status (*resize_tensor)(Context*, Tensor*, IntArray* new_size);
  void (*report_error)(Context*, const char* format, ...);
  Status (*add_tensors)(Context*, int count, int* first_index);
  Status (*get_node_and_registration)(Context*, int index, Node**, Registration**);
  Status (*replace_node_subsets_with_delegate_kernels)(Context*, Registration,
                                                       const IntArray* nodes,
                                                       struct Delegate*);
};

typedef struct Delegate {
  void* data;
  Status (*prepare)(Context*, struct Delegate*);
  void* copy_from_buffer_handle;
  void* copy_to_buffer_handle;
  void* free_buffer_handle;
  int64_t flags;
  void* added_later[4];
} Delegate;

typedef struct {
  Delegate* delegate;
  IntArray* nodes_to_replace;
  IntArray* input_tensors;
  IntArray* output_tensors;
} DelegateParams;

#endif
