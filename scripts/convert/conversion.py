"""One network on its way from PyTorch to .tflite files, with litert-torch."""

from collections.abc import Sequence
from pathlib import Path

import litert_torch
import torch
from judge import Distance, answers, distance
from network import Network
from number_types import quantize


class Conversion:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._reference = [network.reference(probe) for probe in network.probes]

    @property
    def labels(self) -> Sequence[str]:
        """Names of the classes, where the network has classes."""
        return self._network.labels

    def make(self, variant: str, source: Path, target: Path) -> tuple[Distance, str]:
        """Write one file, whole or not at all; say how far from PyTorch it is and what it says."""
        partial = target.with_suffix(".partial")
        if variant == "float32":
            self._convert(partial)
        else:
            quantize(source, partial, variant, self._network.calibration)
        partial.chmod(0o644)  # the quantizer makes files executable
        partial.replace(target)
        outputs = answers(target, self._network.probes)
        return distance(outputs, self._reference), self._network.verdict(outputs)

    def _convert(self, target: Path) -> None:
        example = {name: torch.from_numpy(array) for name, array in self._network.probes[0].items()}
        litert_torch.convert(self._network.module, sample_kwargs=example).export(str(target))
