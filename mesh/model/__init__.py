"""What a .tflite file is, where it may be cut, and cutting it: pure functions over bytes."""

from mesh.model.cuts import CutPoint, cut_points, stage_interface, uncuttable_reason
from mesh.model.footprint import arena_bytes, weight_bytes
from mesh.model.limits import Limits
from mesh.model.model import Model, Operator, Tensor
from mesh.model.reader import metadata_content, read_model
from mesh.model.slicer import slice_model, slice_pieces
from mesh.model.tensor import DataType, LayerRange, StageInterface, TensorSpec

__all__ = [
    "CutPoint",
    "DataType",
    "LayerRange",
    "Limits",
    "Model",
    "Operator",
    "StageInterface",
    "Tensor",
    "TensorSpec",
    "arena_bytes",
    "cut_points",
    "metadata_content",
    "read_model",
    "slice_model",
    "slice_pieces",
    "stage_interface",
    "uncuttable_reason",
    "weight_bytes",
]
