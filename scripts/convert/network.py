"""A network as PyTorch computes it, with what is needed to convert and to judge it; no model here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
"""Inputs or outputs by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network with its data.

    `module` takes tensors by name and returns them by name. `reference` computes the same the way
    the authors of the weights do. `probes` are what both are asked; `calibration` is what int8
    ranges are taken from; `verdict` says in words what the outputs for all probes mean; `labels` are
    the names of its classes, where it has classes.
    """

    module: torch.nn.Module
    reference: Callable[[Arrays], Arrays]
    probes: Sequence[Arrays]
    calibration: Sequence[Arrays]
    verdict: Callable[[Sequence[Arrays]], str]
    labels: Sequence[str] = ()


def ask(module: torch.nn.Module, inputs: Arrays) -> Arrays:
    """Run a module without gradients on NumPy arrays."""
    with torch.no_grad():
        outputs = module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
    return {name: tensor.numpy() for name, tensor in outputs.items()}
