"""Lines to copy are short enough and quote what needs it."""

from pathlib import Path

from mesh.cli.ask_lines import ask_lines
from mesh.cli.model_file import Offer
from mesh.model.tensor import DataType, TensorSpec
from mesh.planning.wishes import Wishes


def offer(*shape: int) -> Offer:
    spec = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=shape)
    return Offer(
        path=Path("x.tflite"), name="pose", inputs=(spec,), wishes=Wishes(), image=None, labels=()
    )


def test_a_model_that_takes_pictures() -> None:
    lines = ask_lines(offer(1, 8, 8, 3), url="mqtt://pi5:1884", base_topic="mesh", options=[])
    assert lines == [
        "mesh infer pose --image photo.jpg",
        "mosquitto_sub -h pi5 -p 1884 \\\n    -t mesh/1/response/infer/pose -C 1 &",
        "mosquitto_pub -h pi5 -p 1884 \\\n    -t mesh/1/request/infer/pose -f photo.jpg",
    ]


def test_one_that_does_not() -> None:
    options = ["--mesh", "my lab"]
    lines = ask_lines(offer(1, 8), url="mqtt://pi5", base_topic="plant/a", options=options)
    assert lines[0] == "mesh infer pose --random --mesh 'my lab'"
    assert lines[2] == (
        "head -c 32 /dev/zero | mosquitto_pub -h pi5 -p 1883 \\\n"
        "    -t plant/a/1/request/infer/pose -s"
    )
