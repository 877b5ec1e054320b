"""How large a model file may be in every respect before it is refused."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one model file, far above any model that a small board can run.

    The largest converted models have some 5,000 operators.

    `max_tables` counts every flatbuffer table read, `max_indices` every element of a shape or of an
    operator's list of tensors: together they bound time and memory for files whose offsets point
    at one place many times over. `max_live_tensors` is how many tensors may cross one cut.
    """

    max_file_bytes: int = (1 << 31) - 1  # offsets of a flatbuffer are 31 bits
    max_tensor_bytes: int = 1 << 30
    max_total_bytes: int = 1 << 34  # of all activations together
    max_subgraphs: int = 64
    max_tensors: int = 32_768
    max_operators: int = 8_192
    max_buffers: int = 32_768
    max_rank: int = 8
    max_name_bytes: int = 4096
    max_tables: int = 150_000
    max_indices: int = 1_000_000
    max_live_tensors: int = 256
