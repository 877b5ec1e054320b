from mesh.model import Operator, read_model
from mesh.model.model import TFLITE_METADATA
from mesh.testing.models import tiny_dense


def test_an_operator_reads_only_the_inputs_that_are_there() -> None:
    operator = Operator(index=0, name="ADD", version=1, inputs=(3, -1, 4), outputs=(5,))

    assert operator.reads == (3, 4)


def test_image_metadata_is_looked_up_by_its_name() -> None:
    model = read_model(tiny_dense())

    assert TFLITE_METADATA not in model.metadata_names
    assert not model.has_image_metadata
