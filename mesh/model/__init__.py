"""What a .tflite file is, where it may be cut, and cutting it: pure functions over bytes."""

from mesh.model.cuts import (
    Boundary,
    CutPoint,
    boundaries,
    cut_points,
    stage_interface,
    uncuttable_reason,
)
from mesh.model.footprint import StageMemory, stage_memories, stage_memory, weight_bytes
from mesh.model.limits import Limits
from mesh.model.model import Model, Operator, Tensor
from mesh.model.reader import metadata_content, read_model
from mesh.model.slicer import slice_model, slice_pieces
from mesh.model.tensor import DataType, LayerRange, StageInterface, StatePair, TensorSpec

__all__ = [
    "Boundary",
    "CutPoint",
    "DataType",
    "LayerRange",
    "Limits",
    "Model",
    "Operator",
    "StageInterface",
    "StageMemory",
    "StatePair",
    "Tensor",
    "TensorSpec",
    "boundaries",
    "cut_points",
    "metadata_content",
    "read_model",
    "slice_model",
    "slice_pieces",
    "stage_interface",
    "stage_memories",
    "stage_memory",
    "uncuttable_reason",
    "weight_bytes",
]
