"""Silero VAD at 16 kHz: is there speech in 32 ms of sound? An LSTM whose state goes in and out."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from network import Array, Arrays, Network
from wheels import SILERO_VAD, read_member

RATE_HZ = 16_000
STEP, CONTEXT = 512, 64
"""Samples of one step, and of the step before that it sees again."""
STEPS = 48
STATE = (2, 1, 128)
"""Hidden and cell state of the LSTM."""


class Detector(torch.nn.Module):
    """Sound as [1, 576] and state as [2, 1, 128]; probability of speech as [1, 1] and new state."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        take = {name.removeprefix("_model."): tensor for name, tensor in weights.items()}
        self.basis = torch.nn.Parameter(take["stft.forward_basis_buffer"], requires_grad=False)
        self.encoder = torch.nn.Sequential(
            *(layer for at in range(4) for layer in (_convolution(take, at), torch.nn.ReLU()))
        )
        self.cell = torch.nn.LSTMCell(128, 128)
        self.cell.load_state_dict(
            {name: take[f"decoder.rnn.{name}"] for name in self.cell.state_dict()}
        )
        self.last = torch.nn.Linear(128, 1)
        self.last.load_state_dict(
            {
                "weight": take["decoder.decoder.2.weight"][..., 0],
                "bias": take["decoder.decoder.2.bias"],
            }
        )

    def forward(self, audio: torch.Tensor, state: torch.Tensor) -> dict[str, torch.Tensor]:
        padded = torch.nn.functional.pad(audio[:, None], (0, CONTEXT), mode="reflect")
        parts = torch.nn.functional.conv1d(padded, self.basis, stride=128)
        half = parts.shape[1] // 2
        magnitude = torch.sqrt(parts[:, :half] ** 2 + parts[:, half:] ** 2)
        features = self.encoder(magnitude)[..., 0]
        hidden, cell = self.cell(features, (state[0], state[1]))
        speech = torch.sigmoid(self.last(torch.relu(hidden)))
        return {"speech": speech, "new_state": torch.stack([hidden, cell])}


def _convolution(weights: dict[str, torch.Tensor], at: int) -> torch.nn.Conv1d:
    name = f"encoder.{at}.reparam_conv"
    outputs, inputs, width = weights[f"{name}.weight"].shape
    stride = 2 if at in {1, 2} else 1
    layer = torch.nn.Conv1d(inputs, outputs, width, stride=stride, padding=1)
    layer.load_state_dict({part: weights[f"{name}.{part}"] for part in ("weight", "bias")})
    return layer


def load(folder: Path) -> Network:
    """The probes are consecutive steps of one sound; each has the state that the one before left."""
    content = read_member(SILERO_VAD, "silero_vad/data/silero_vad.jit", folder)
    published: Any = torch.jit.load(io.BytesIO(content)).eval()  # type: ignore[no-untyped-call]
    module = Detector(dict(published.state_dict())).eval()

    def reference(inputs: Arrays) -> Arrays:
        with torch.no_grad():
            speech, state = published._model(  # noqa: SLF001  the step without the library's memory
                torch.from_numpy(inputs["audio"]), torch.from_numpy(inputs["state"])
            )
        return {"speech": speech.numpy(), "new_state": state.numpy()}

    probes: list[Arrays] = []
    state: Array = np.zeros(STATE, np.float32)
    for audio in steps():
        probes.append({"audio": audio, "state": state})
        state = reference(probes[-1])["new_state"]
    return Network(
        module=module, reference=reference, probes=probes, calibration=probes, verdict=verdict
    )


def steps() -> Iterator[Array]:
    """A second and a half: hiss, then a sung vowel, then hiss."""
    time_s = np.arange(STEPS * STEP) / RATE_HZ
    pitch_hz = 120 + 10 * np.sin(2 * np.pi * 5 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    voice = sum(_formants(120.0 * n) * np.sin(n * phase) for n in range(1, 40))
    sounding = (time_s > 0.5) & (time_s < 1.1)
    hiss = 0.003 * np.random.default_rng(1).standard_normal(len(time_s))
    sound = (0.1 * sounding * voice + hiss).astype(np.float32)
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), sound])
    for start in range(0, len(sound), STEP):
        yield padded[None, start : start + CONTEXT + STEP]


def _formants(frequency_hz: float) -> float:
    """How loud a harmonic of the vowel "a" is: its resonances lie near 700, 1,200 and 2,600 Hz."""
    peaks = ((700, 130, 1.0), (1200, 150, 0.6), (2600, 200, 0.3))
    return sum(
        loud / (1 + ((frequency_hz - at_hz) / width_hz) ** 2) for at_hz, width_hz, loud in peaks
    )


def verdict(outputs: Sequence[Arrays]) -> str:
    speech = [float(output["speech"][0, 0]) for output in outputs]
    return f"speech in hiss {np.mean(speech[:12]):.2f}, in a sung vowel {max(speech[20:34]):.2f}"
