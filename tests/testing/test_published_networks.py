import math
from collections import Counter

import pytest

from mesh.model import Model, read_model
from mesh.testing.published_networks import mobilenet_v2, resnet_50


def weights(model: Model) -> int:
    """Trained numbers, biases included."""
    return sum(
        math.prod(model.tensors[index].shape)
        for layer in model.layers
        if layer.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        for index in layer.reads
        if index not in model.activations
    )


@pytest.mark.parametrize(
    ("content", "millions", "convolutions", "depthwise"),
    [(mobilenet_v2(), 3.5, 35, 17), (resnet_50(), 25.6, 53, 0)],
    ids=["mobilenet_v2", "resnet_50"],
)
def test_they_are_as_large_as_published(
    content: bytes, millions: float, convolutions: int, depthwise: int
) -> None:
    model = read_model(content)
    counts = Counter(layer.name for layer in model.layers)
    assert (counts["CONV_2D"], counts["DEPTHWISE_CONV_2D"]) == (convolutions, depthwise)
    assert weights(model) == pytest.approx(millions * 1e6, rel=0.01)
    assert model.inputs[0].shape == (1, 224, 224, 3)
    assert model.outputs[0].shape == (1, 1000)


def test_other_formats_are_the_same_network() -> None:
    whole = [layer.name for layer in read_model(mobilenet_v2()).layers]
    assert [layer.name for layer in read_model(mobilenet_v2("int8")).layers] == whole
