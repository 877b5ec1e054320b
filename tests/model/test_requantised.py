from typing import Any

import pytest

from mesh.errors import InvalidModelError
from mesh.model import read_model
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.model.limits import Limits
from mesh.model.model import Operator, Tensor
from mesh.model.requantised import check_scales
from mesh.model.table import Table, Value, make_table
from mesh.testing.models import residual_cnn


def _tensor(index: int, type_name: str) -> Tensor:
    fields: dict[str, Any] = {"shape": (1,), "size_bytes": 1, "buffer": 0, "data_type": None}
    return Tensor(index=index, name=f"t{index}", type_name=type_name, **fields)


def _table(scale: list[float] | None) -> Table:
    quantization = None if scale is None else make_table("QuantizationParameters", scale=scale)
    return make_table("Tensor", quantization=quantization)


def _check(name: str, types: tuple[str, str], scales: tuple[list[float] | None, ...]) -> None:
    operator = Operator(index=5, name=name, version=1, inputs=(0, -1), outputs=(1,))
    tensors = [_tensor(index, type_name) for index, type_name in enumerate(types)]
    check_scales([operator], tensors, [_table(scale) for scale in scales])


@pytest.mark.parametrize("scales", [(None, [1.0]), ([1.0], None), ([], [1.0]), ([1.0], [0.0])])
def test_a_missing_scale_is_damage(scales: tuple[list[float] | None, ...]) -> None:
    with pytest.raises(InvalidModelError, match=r"'t[01]' has no scale.*operator 5 \(CONV_2D\)"):
        _check("CONV_2D", ("INT8", "UINT8"), scales)


@pytest.mark.parametrize(
    ("name", "types", "scales"),
    [
        ("CONV_2D", ("INT8", "INT8"), ([0.5], [0.1, 0.2])),
        ("CONV_2D", ("FLOAT32", "FLOAT32"), (None, None)),
        ("ADD", ("INT32", "INT32"), (None, None)),
        ("RESHAPE", ("INT8", "INT8"), (None, None)),
    ],
)
def test_scales_are_asked_for_where_kernels_divide_by_them(
    name: str, types: tuple[str, str], scales: tuple[list[float] | None, ...]
) -> None:
    _check(name, types, scales)


def test_the_reader_refuses_what_makes_both_runtimes_abort() -> None:
    root = decode(memoryview(residual_cnn("int8")), Limits())
    (subgraph,) = root.tables("subgraphs")
    tensors = tuple(
        table.replace(quantization=None) if table.text("name") == "block0/pointwise" else table
        for table in subgraph.tables("tensors")
    )

    with pytest.raises(InvalidModelError, match=r"'block0/pointwise' has no scale.*CONV_2D"):
        read_model(encode(root.replace(subgraphs=(subgraph.replace(tensors=tensors),))))


class _Counted(dict[str, Value]):
    """Counts how often a field is looked up."""

    looked_up = 0

    def get(self, *arguments: Any) -> Any:
        self.looked_up += 1
        return super().get(*arguments)


def test_scales_that_many_operators_share_are_read_once() -> None:
    """A file of 5 MB could otherwise take minutes to read."""
    quantization = make_table("QuantizationParameters", scale=[1.0])
    counted = _Counted(quantization=quantization)
    operators = [
        Operator(index=at, name="CONV_2D", version=1, inputs=(0,), outputs=(0,)) for at in range(9)
    ]

    check_scales(operators, [_tensor(0, "INT8")], [Table("Tensor", counted)])

    assert counted.looked_up == 1
