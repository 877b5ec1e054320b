"""Turns a float32 .tflite into one of other number types, with ai-edge-quantizer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe, recipe_manager
from ai_edge_quantizer.utils import qsv_utils
from network import Arrays

Recipe = list[dict[str, Any]]
Ranges = dict[str, qtyping.QSV]
"""Least and greatest value of each activation, by its name."""


def _fp16() -> Recipe:
    """Weights in half precision, made float32 again by a DEQUANTIZE each."""
    rules = recipe_manager.RecipeManager()
    rules.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(
                num_bits=16, dtype=qtyping.TensorDataType.FLOAT
            ),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=recipe.AlgorithmName.FLOAT_CASTING,
    )
    fp16: Recipe = rules.get_quantization_recipe()
    return fp16


RECIPES: dict[str, Callable[[], Recipe]] = {
    "fp16": _fp16,
    "dynamic_range": recipe.dynamic_wi8_afp32,
    "int8": recipe.static_wi8_ai8,
    "int16x8": recipe.static_wi8_ai16,
}
"""How each is made: int8 and int16x8 compute in integers throughout, from ranges of activations."""


def quantize(source: Path, target: Path, variant: str, calibration: Sequence[Arrays]) -> None:
    """Write `target`, the model of `source` as `variant`."""
    work = quantizer.Quantizer(str(source), RECIPES[variant]())
    ranges = _ranges(source, work, calibration) if work.need_calibration else None
    work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).export_model(
        str(target), overwrite=True
    )


def _ranges(source: Path, work: quantizer.Quantizer, calibration: Sequence[Arrays]) -> Ranges:
    """Each activation's least and greatest value over all samples.

    The quantizer's own way is a moving average with 0.95: too slow for a few dozen samples.
    """
    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(work.get_quantization_recipe())
    watch = calibrator.Calibrator(str(source), qsv_update_func=qsv_utils.min_max_update)
    watch.calibrate({"serving_default": calibration}, rules)
    ranges: Ranges = watch.get_model_qsvs()
    return ranges
