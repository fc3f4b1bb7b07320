"""The operator table: which operators the Edge TPU can run, since when, and within which limits.

Rows and limits are those of Coral's page "TensorFlow models on the Edge TPU" (table of supported
operations) unless their source says otherwise.  This is the one place to change when better
evidence comes to light; ``edgetpu_compiler --supported_ops`` prints it.

Operators go by name, because the package ``tflite`` does not know the newest ones
(:mod:`compiler.reading.reader`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from compiler.mapping import layout_limits as layout
from compiler.mapping import limits
from compiler.mapping.limits import Limit, Source, constant

LARGEST_ACTIVATION_BYTES = 32 << 20
"""An assumption: the largest tensor the chip is taken to work on.  Known: maps of 6 MB are mapped;
one of 64 MiB (1024x1024x64) makes Google's compiler fail ("large activation tensors in model")."""


@dataclass(frozen=True)
class Row:
    """An operator: the first runtime version that runs it (0: all), limits, where that is from."""

    since_runtime: int = 0
    limits: tuple[Limit, ...] = ()
    source: Source = Source.PAGE
    note: str = ""


_REDUCTION = (limits.no_batch_reduction, limits.z_reduction)
_RESIZE = (constant("size", 1), layout.three_dimensional_resize, layout.resize_ratio)

SUPPORTED: Mapping[str, Row] = {
    "ADD": Row(),
    "AVERAGE_POOL_2D": Row(limits=(limits.no_fused_activation,)),
    "CONCATENATION": Row(limits=(limits.no_fused_activation, layout.zero_padding_only)),
    "CONV_2D": Row(limits=(constant("weights", 1, 2), limits.same_dilation)),
    "DEPTHWISE_CONV_2D": Row(
        limits=(constant("weights", 1, 2), limits.same_dilation, limits.no_dilation_before_13)
    ),
    "EXPAND_DIMS": Row(13, (constant("axis", 1),)),
    "FULLY_CONNECTED": Row(
        limits=(constant("weights", 1, 2), limits.default_weights, limits.output_one_dimensional)
    ),
    "L2_NORMALIZATION": Row(limits=(limits.no_fused_activation,)),
    "LOGISTIC": Row(),
    "MAXIMUM": Row(),
    "MAX_POOL_2D": Row(limits=(limits.no_fused_activation,)),
    "MEAN": Row(limits=_REDUCTION),
    "MINIMUM": Row(),
    "MUL": Row(),
    "PACK": Row(13, (layout.no_batch_packing,)),
    "PAD": Row(limits=(layout.no_batch_padding, layout.z_padding)),
    "PRELU": Row(14, (constant("slopes", 1),), Source.MAINTAINER, "of the last compiler"),
    "QUANTIZE": Row(13),
    "REDUCE_MAX": Row(14, _REDUCTION, Source.MAINTAINER, "of the last compiler"),
    "REDUCE_MIN": Row(14, _REDUCTION, Source.MAINTAINER, "of the last compiler"),
    "RELU": Row(),
    "RELU6": Row(),
    "RELU_N1_TO_1": Row(),
    "RESHAPE": Row(limits=(constant("shape", 1),)),
    "RESIZE_BILINEAR": Row(limits=_RESIZE),
    "RESIZE_NEAREST_NEIGHBOR": Row(limits=_RESIZE),
    "SLICE": Row(limits=(constant("begin and size", 1, 2),)),
    "SOFTMAX": Row(limits=(limits.softmax_one_dimensional, limits.softmax_size)),
    "SPACE_TO_DEPTH": Row(),
    "SPLIT": Row(limits=(layout.no_batch_split,)),
    "SQUEEZE": Row(limits=(layout.squeeze_keeps_layout,)),
    "STRIDED_SLICE": Row(limits=(constant("range", 1, 2, 3), layout.unit_strides, layout.no_masks)),
    "SUB": Row(),
    "SUM": Row(13, (limits.z_reduction_only,)),
    "TANH": Row(),
    "TILE": Row(14, (layout.tile_of_one,), Source.PACKAGE, "the page does not list it"),
    "TRANSPOSE": Row(
        14,
        (layout.inner_transpose, layout.transpose_not_first),
        Source.PACKAGE,
        "seen for 1x20x20x144",
    ),
    "TRANSPOSE_CONV": Row(13, (constant("weights and size", 0, 1, 3),)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Row(
        12, source=Source.PACKAGE, note="keras_lstm_mnist_ptq, with its states"
    ),
}

HINTS: Mapping[str, str] = {
    "LEAKY_RELU": "MAXIMUM of x and alpha * x computes the same (a MUL by a constant, alpha <= 1)",
    "HARD_SWISH": "train with RELU6 instead, or compute it as MUL of x and a RELU6",
    "ELU": "train with RELU instead",
    "GELU": "train with RELU instead",
    "ARG_MAX": "it stays on the CPU, at the end of the model, where it costs little",
    "BATCH_MATMUL": "FULLY_CONNECTED or a 1x1 CONV_2D, where one side is constant",
    "SPLIT_V": "SPLIT into equal parts, or SLICE",
    "MIRROR_PAD": "PAD with zeros",
    "PADV2": "PAD with zeros",
    "TRANSPOSE": "export the model in NHWC layout, so that no axes change places",
    "QUANTIZE": "give the model 8-bit inputs (inference_input_type of the converter)",
    "CAST": "quantise the whole model to 8 bits, inputs and outputs included",
    "DEQUANTIZE": "give the model 8-bit outputs (inference_output_type of the converter)",
}
"""Rewrites, or remedies, for operators that are not in the table."""
