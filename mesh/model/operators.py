"""What single builtin operators mean for cutting a model: data, named as in schema.fbs."""

from collections.abc import Mapping

# Run other subgraphs, which a slice does not carry.
CONTROL_FLOW = frozenset(
    {
        "CALL",
        "IF",
        "WHILE",
        "STABLEHLO_CASE",
        "STABLEHLO_COMPOSITE",
        "STABLEHLO_CUSTOM_CALL",
        "STABLEHLO_REDUCE",
        "STABLEHLO_REDUCE_WINDOW",
        "STABLEHLO_SCATTER",
        "STABLEHLO_SORT",
        "STABLEHLO_WHILE",
    }
)

# Name a state that lasts from one run to the next. The same name gives the same state wherever it
# is made, so these are copied like weights; a handle that crosses a cut crashes the interpreter.
HANDLE_MAKERS = frozenset({"HASHTABLE", "VAR_HANDLE"})

# Take such a handle as their first input.
HANDLE_USERS = frozenset(
    {
        "ASSIGN_VARIABLE",
        "HASHTABLE_FIND",
        "HASHTABLE_IMPORT",
        "HASHTABLE_SIZE",
        "READ_VARIABLE",
    }
)

# Of these, the ones that only look: they are needed where their output is.
HANDLE_READERS = frozenset({"HASHTABLE_FIND", "HASHTABLE_SIZE", "READ_VARIABLE"})

# Belong to one runtime's inside.
RUNTIME_ONLY = frozenset({"DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"})

# The size of what they make depends on the values they are given.
SIZED_BY_VALUES = frozenset({"EMBEDDING_LOOKUP_SPARSE", "SEGMENT_SUM", "UNIQUE", "WHERE"})

# Make shapes out of shapes, whatever the values are.
SHAPE_SOURCES = frozenset({"RANK", "SHAPE"})

# Give another answer each time.
RANDOM = frozenset(
    {"MULTINOMIAL", "RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "STABLEHLO_RNG_BIT_GENERATOR"}
)

# Inputs whose values decide the shape of the output.
SHAPE_INPUTS: Mapping[str, tuple[int, ...]] = {
    "BATCH_TO_SPACE_ND": (1, 2),
    "BROADCAST_TO": (1,),
    "CONV_3D_TRANSPOSE": (0,),
    "DILATE": (1,),
    "EXPAND_DIMS": (1,),
    "ARG_MAX": (1,),
    "ARG_MIN": (1,),
    "FILL": (0,),
    "MEAN": (1,),
    "MIRROR_PAD": (1,),
    "MULTINOMIAL": (1,),
    "NON_MAX_SUPPRESSION_V4": (2,),
    "NON_MAX_SUPPRESSION_V5": (2,),
    "ONE_HOT": (1,),
    "PAD": (1,),
    "PADV2": (1,),
    "RANDOM_STANDARD_NORMAL": (0,),
    "RANDOM_UNIFORM": (0,),
    "RANGE": (0, 1, 2),
    "REDUCE_ALL": (1,),
    "REDUCE_ANY": (1,),
    "REDUCE_MAX": (1,),
    "REDUCE_MIN": (1,),
    "REDUCE_PROD": (1,),
    "REDUCE_WINDOW": (2, 3, 4, 5),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "RFFT2D": (1,),
    "SCATTER_ND": (2,),
    "SLICE": (1, 2),
    "SPACE_TO_BATCH_ND": (1, 2),
    "SPARSE_TO_DENSE": (1,),
    "SPLIT": (0,),
    "SPLIT_V": (1, 2),
    "STRIDED_SLICE": (1, 2, 3),
    "SUM": (1,),
    "TILE": (1,),
    "TOPK_V2": (1,),
    "TRANSPOSE": (1,),
    "TRANSPOSE_CONV": (0,),
    "UNSORTED_SEGMENT_MAX": (2,),
    "UNSORTED_SEGMENT_MIN": (2,),
    "UNSORTED_SEGMENT_PROD": (2,),
    "UNSORTED_SEGMENT_SUM": (2,),
}
