"""How large a model file may be in every respect before it is refused."""

from dataclasses import dataclass

from mesh.config import Config


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one model file, far above any model that a small board can run.

    The largest converted models have some 5,000 operators. Trained models have 3–7 tables and 6–20
    fields for each.

    `max_tables` counts every flatbuffer table read, `max_fields` their fields, `max_indices` every
    element of a shape or of an operator's list of tensors: together they bound time and memory for
    files whose offsets point at one place many times over. `max_live_tensors` is how many tensors
    may cross one cut.
    """

    max_file_bytes: int = 2 << 30
    max_tensor_bytes: int = 1 << 30
    max_activation_bytes: int = 1 << 34  # of all that operators make, together
    max_subgraphs: int = 64
    max_tensors: int = 32_768
    max_operators: int = 8_192
    max_buffers: int = 32_768
    max_rank: int = 8
    max_name_bytes: int = 4096
    max_tables: int = 100_000
    max_fields: int = 250_000
    max_indices: int = 1_000_000
    max_live_tensors: int = 256


def model_limits(config: Config) -> Limits:
    """Those that a configuration sets; the others stay as they are."""
    return Limits(
        max_file_bytes=config.max_model_bytes,
        max_tensor_bytes=config.max_tensor_bytes,
        max_activation_bytes=config.max_activation_bytes,
        max_operators=config.max_operators,
    )
