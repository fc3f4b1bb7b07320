/* The custom operator, as a kernel of the delegate that has a device compute it. */

#ifndef EDGETPU_PIPELINE_OPERATOR_H_
#define EDGETPU_PIPELINE_OPERATOR_H_

#include "tflite_abi.h"

/* The name of the operator in a compiled model. */
extern const char custom_operator[];

/* The kernel; its delegate's data is the Device. */
Registration operator_kernel(void);

#endif
