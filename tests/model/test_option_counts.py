import numpy as np
import pytest

from mesh.errors import InvalidModelError
from mesh.model import read_model
from mesh.model.model import Operator
from mesh.model.option_counts import check_option_counts
from mesh.model.table import Table, make_table
from mesh.testing.model_builder import ModelBuilder


def _operator(name: str, inputs: int, outputs: int) -> Operator:
    return Operator(
        index=3, name=name, version=1, inputs=tuple(range(inputs)), outputs=tuple(range(outputs))
    )


def _table(options: Table | None) -> Table:
    return make_table("Operator", builtin_options_type=1, builtin_options=options)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "options"),
    [
        ("SPLIT", 2, 3, make_table("SplitOptions", num_splits=3)),
        ("SPLIT_V", 3, 2, make_table("SplitVOptions", num_splits=2)),
        ("UNPACK", 1, 4, make_table("UnpackOptions", num=4, axis=1)),
        ("PACK", 4, 1, make_table("PackOptions", values_count=4)),
        ("RELU", 1, 1, None),
    ],
)
def test_counts_that_hold_are_sound(
    name: str, inputs: int, outputs: int, options: Table | None
) -> None:
    check_option_counts([_operator(name, inputs, outputs)], [_table(options)])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("SPLIT", make_table("SplitOptions", num_splits=(1 << 31) - 1), "num_splits says 2147"),
        ("SPLIT", make_table("SplitOptions", num_splits=-1), "num_splits says -1"),
        ("SPLIT", make_table("AddOptions"), "num_splits says 0"),
        ("SPLIT_V", None, "num_splits says 0"),
        ("UNPACK", make_table("UnpackOptions", num=3), "num says 3"),
        ("PACK", make_table("PackOptions", values_count=7), "values_count says 7"),
    ],
)
def test_a_count_that_does_not_hold_is_damage(name: str, options: Table | None, said: str) -> None:
    with pytest.raises(InvalidModelError, match=rf"operator 3 \({name}\) has 2 .*{said}"):
        check_option_counts([_operator(name, 2, 2)], [_table(options)])


def test_the_reader_refuses_a_split_into_more_than_there_is_room_for() -> None:
    builder = ModelBuilder()
    x = builder.tensor("x", (1, 4))
    axis = builder.constant("axis", np.array(1, np.int32))
    halves = [builder.tensor(name, (1, 2)) for name in ("left", "right")]
    builder.operator("SPLIT", [axis, x], halves, make_table("SplitOptions", num_splits=1 << 20))

    with pytest.raises(InvalidModelError, match=r"SPLIT.*2 outputs.*says 1048576"):
        read_model(builder.build({"x": x}, {"left": halves[0], "right": halves[1]}))
