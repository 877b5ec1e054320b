import pytest

from mesh.model.table import Table, make_table


def test_absent_fields_read_as_their_defaults() -> None:
    tensor = Table("Tensor", {})

    assert tensor.integer("buffer") == 0
    assert tensor.integer("buffer", default=7) == 7
    assert tensor.integers("shape") == ()
    assert tensor.text("name") == ""
    assert tensor.table("quantization") is None
    assert bytes(tensor.raw("shape")) == b""
    assert Table("SubGraph", {}).tables("tensors") == ()


def test_plain_values_read_back() -> None:
    scales = make_table("QuantizationParameters", scale=[0.5], zero_point=[-3])
    tensor = make_table("Tensor", name="é", shape=[1, -1], buffer=3, quantization=scales)

    assert tensor.text("name") == "é"
    assert tensor.integers("shape") == (1, -1)
    assert tensor.integer("buffer") == 3
    assert tensor.table("quantization") == scales
    assert scales.integers("zero_point") == (-3,)


def test_none_leaves_a_field_out() -> None:
    assert make_table("Tensor", name=None) == Table("Tensor", {})


def test_replace_sets_and_removes() -> None:
    tensor = make_table("Tensor", name="a", buffer=3)

    assert tensor.replace(name=None, buffer=4) == make_table("Tensor", buffer=4)
    assert tensor == make_table("Tensor", name="a", buffer=3)


def test_names_that_are_not_utf8_stay_readable() -> None:
    assert Table("Tensor", {"name": b"a\xff"}).text("name") == "a�"


@pytest.mark.parametrize("reader", ["integer", "integers", "raw", "table", "tables", "text"])
def test_a_field_is_read_as_what_it_is(reader: str) -> None:
    wrong = b"text" if reader in {"integer", "integers", "raw", "table", "tables"} else 3

    with pytest.raises(TypeError, match=r"Tensor\.name"):
        getattr(Table("Tensor", {"name": wrong}), reader)("name")
