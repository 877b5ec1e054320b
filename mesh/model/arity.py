"""How many tensors each operator takes and gives at least, and whose inputs may be left out.

Kernels look up their tensors by place, most of them without asking how many there are.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mesh.errors import InvalidModelError
from mesh.model.model import Operator


class Arity(NamedTuple):
    """The least numbers of inputs and of outputs."""

    inputs: int
    outputs: int


# From the kernels (tensorflow/lite/kernels, LiteRT 2.3): inputs, outputs, operators.
_TABLE = """
0 0 CALL_ONCE
0 1 HASHTABLE STABLEHLO_IOTA VAR_HANDLE
1 1 ABS ADD_N AVERAGE_POOL_2D BITCAST BUCKETIZE CAST CEIL COMPLEX_ABS CONCATENATION COS DENSIFY
    DEPTH_TO_SPACE DEQUANTIZE ELU EXP FAKE_QUANT FLOOR GELU HARD_SWISH HASHTABLE_SIZE IMAG
    L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_NOT LOGISTIC
    LOG_SOFTMAX MATRIX_DIAG MAX_POOL_2D NEG PACK QUANTIZE RANDOM_STANDARD_NORMAL RANDOM_UNIFORM
    RANK READ_VARIABLE REAL RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE ROUND RSQRT SHAPE SIGN SIN
    SKIP_GRAM SOFTMAX SPACE_TO_DEPTH SQRT SQUARE SQUEEZE STABLEHLO_ABS STABLEHLO_BROADCAST_IN_DIM
    STABLEHLO_CBRT STABLEHLO_CONCATENATE STABLEHLO_CONVERT STABLEHLO_COSINE STABLEHLO_DYNAMIC_SLICE
    STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_LOGISTIC STABLEHLO_NEGATE
    STABLEHLO_RESHAPE STABLEHLO_RSQRT STABLEHLO_SLICE STABLEHLO_TANH STABLEHLO_TRANSPOSE TANH UNPACK
    ZEROS_LIKE
1 2 STABLEHLO_RNG_BIT_GENERATOR
2 0 ASSIGN_VARIABLE
2 1 ADD ARG_MAX ARG_MIN ATAN2 BATCH_MATMUL BITWISE_XOR BROADCAST_ARGS BROADCAST_TO CONV_2D CONV_3D
    CUMSUM DEPTHWISE_CONV_2D DIV EMBEDDING_LOOKUP EQUAL EXPAND_DIMS FILL FLOOR_DIV FLOOR_MOD
    FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR
    LSH_PROJECTION MATRIX_SET_DIAG MAXIMUM MEAN MINIMUM MIRROR_PAD MUL MULTINOMIAL NOT_EQUAL PAD
    POW PRELU REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RESIZE_BILINEAR
    RESIZE_NEAREST_NEIGHBOR REVERSE_SEQUENCE REVERSE_V2 RFFT2D RIGHT_SHIFT SPLIT
    SQUARED_DIFFERENCE STABLEHLO_ADD STABLEHLO_AND STABLEHLO_COMPARE STABLEHLO_CONVOLUTION
    STABLEHLO_DIVIDE STABLEHLO_DOT_GENERAL STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_GATHER
    STABLEHLO_MAXIMUM STABLEHLO_MINIMUM STABLEHLO_MULTIPLY STABLEHLO_OR STABLEHLO_PAD
    STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_SHIFT_LEFT STABLEHLO_SUBTRACT SUB SUM TILE
    TRANSPOSE
2 2 TOPK_V2
3 0 HASHTABLE_IMPORT
3 1 BATCH_TO_SPACE_ND CONV_3D_TRANSPOSE DILATE DYNAMIC_UPDATE_SLICE HASHTABLE_FIND PADV2 RANGE
    SCATTER_ND SELECT SELECT_V2 SLICE SPACE_TO_BATCH_ND SPLIT_V STABLEHLO_CLAMP STABLEHLO_SELECT
    TRANSPOSE_CONV UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD
    UNSORTED_SEGMENT_SUM
3 2 HASHTABLE_LOOKUP
4 1 ONE_HOT SPARSE_TO_DENSE STRIDED_SLICE
5 1 EMBEDDING_LOOKUP_SPARSE LSTM REDUCE_WINDOW RNN SVDF UNIDIRECTIONAL_SEQUENCE_RNN
5 2 NON_MAX_SUPPRESSION_V4
6 3 NON_MAX_SUPPRESSION_V5
12 1 BIDIRECTIONAL_SEQUENCE_RNN
20 1 UNIDIRECTIONAL_SEQUENCE_LSTM
48 1 BIDIRECTIONAL_SEQUENCE_LSTM
"""

# Of those below, the ones that need as many inputs as the table says: data and weights.
_WEIGHTED = frozenset(
    {
        "CONV_2D",
        "CONV_3D",
        "CONV_3D_TRANSPOSE",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "TRANSPOSE_CONV",
    }
)

# Whose kernels ask whether an input is there: biases, and the many options of recurrent layers.
MAY_LEAVE_OUT = frozenset(
    {
        "BIDIRECTIONAL_SEQUENCE_LSTM",
        "BIDIRECTIONAL_SEQUENCE_RNN",
        "CONV_2D",
        "CONV_3D",
        "CONV_3D_TRANSPOSE",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "LSTM",
        "SVDF",
        "TRANSPOSE_CONV",
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
    }
)


def _parsed(text: str) -> dict[str, Arity]:
    found: dict[str, Arity] = {}
    for line in text.strip().replace("\n    ", " ").splitlines():
        inputs, outputs, *names = line.split()
        found |= dict.fromkeys(names, Arity(int(inputs), int(outputs)))
    return found


ARITIES: Mapping[str, Arity] = _parsed(_TABLE)
"""Of every operator that a slice may carry; what is not listed takes nothing for granted."""


def check_arity(operators: Iterable[Operator]) -> None:
    """Raises: InvalidModelError for an operator that lacks tensors which its kernel reads."""
    for operator in operators:
        least = ARITIES.get(operator.name, Arity(0, 0))
        if len(operator.inputs) < least.inputs or len(operator.outputs) < least.outputs:
            raise InvalidModelError(
                f"operator {operator.index} ({operator.name}) has {len(operator.inputs)} inputs and "
                f"{len(operator.outputs)} outputs; it needs {least.inputs} and {least.outputs}"
            )
        if -1 in operator.inputs[: _needed_inputs(operator, least)]:
            raise InvalidModelError(
                f"operator {operator.index} ({operator.name}) leaves out input "
                f"{operator.inputs.index(-1)}, which it needs"
            )


def _needed_inputs(operator: Operator, least: Arity) -> int:
    """How many of its first inputs may not be left out."""
    if operator.name not in MAY_LEAVE_OUT:
        return len(operator.inputs)
    return least.inputs if operator.name in _WEIGHTED else 1
