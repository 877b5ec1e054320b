"""Builds small .tflite files operator by operator, without a converter; what they compute is not here."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mesh.model.encoder import encode
from mesh.model.schema import OPERATOR_NAMES, TENSOR_TYPE_NAMES, UNION_MEMBERS
from mesh.model.table import Table, make_table

TENSOR_TYPES = {
    "float16": "FLOAT16",
    "float32": "FLOAT32",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
}
"""schema.fbs TensorType names by NumPy dtype name."""


class ModelBuilder:
    """Collects tensors and operators; each method returns the index of what it added."""

    def __init__(self) -> None:
        self._tensors: list[Table] = []
        self._buffers: list[Table] = [make_table("Buffer")]
        self._codes: dict[tuple[str, int], int] = {}
        self._operators: list[Table] = []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        quantization: tuple[float, int] | None = None,
        **fields: bool | int | Sequence[int],
    ) -> int:
        """An activation; `quantization` is (scale, zero_point). `fields` are further schema fields."""
        return self._add_tensor(name, shape, dtype, quantization=quantization, **fields)

    def constant(
        self,
        name: str,
        content: NDArray[np.generic],
        *,
        quantization: tuple[float, int] | None = None,
    ) -> int:
        """A tensor with content, in a buffer of its own."""
        little = content.astype(content.dtype.newbyteorder("<"), copy=False)
        self._buffers.append(make_table("Buffer", data=little.tobytes()))
        buffer = len(self._buffers) - 1
        return self._add_tensor(
            name, content.shape, content.dtype.name, quantization=quantization, buffer=buffer
        )

    def _add_tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        *,
        quantization: tuple[float, int] | None,
        **fields: bool | int | Sequence[int],
    ) -> int:
        table = make_table(
            "Tensor",
            name=name,
            shape=list(shape),
            type=TENSOR_TYPE_NAMES.index(TENSOR_TYPES[dtype]),
            has_rank=True,
            quantization=_quantization(quantization),
            **fields,
        )
        self._tensors.append(table)
        return len(self._tensors) - 1

    def operator(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Table | None = None,
        *,
        version: int = 1,
        **fields: str | bytes,
    ) -> int:
        """A builtin operator named as in schema.fbs. `fields` are further schema fields."""
        code = self._codes.setdefault((name, version), len(self._codes))
        members = UNION_MEMBERS["BuiltinOptions"]
        table = make_table(
            "Operator",
            opcode_index=code,
            inputs=inputs,
            outputs=outputs,
            builtin_options_type=members.index(options.name) + 1 if options else None,
            builtin_options=options,
            **fields,
        )
        self._operators.append(table)
        return len(self._operators) - 1

    def build(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The file, with one signature that names the inputs and outputs."""
        subgraph = make_table(
            "SubGraph",
            name="main",
            tensors=self._tensors,
            inputs=list(inputs.values()),
            outputs=list(outputs.values()),
            operators=self._operators,
        )
        return encode(
            make_table(
                "Model",
                version=3,
                description="edge-mesh test model",
                operator_codes=[_code(name, version) for name, version in self._codes],
                subgraphs=[subgraph],
                buffers=self._buffers,
                signature_defs=[_signature(inputs, outputs)],
            )
        )


def _quantization(quantization: tuple[float, int] | None) -> Table | None:
    if quantization is None:
        return None
    scale, zero_point = quantization
    return make_table("QuantizationParameters", scale=[scale], zero_point=[zero_point])


def _code(name: str, version: int) -> Table:
    number = OPERATOR_NAMES.index(name)
    # schema.fbs, OperatorCode: codes above 127 exist in the newer field only.
    return make_table(
        "OperatorCode",
        deprecated_builtin_code=min(number, 127),
        builtin_code=number,
        version=version,
    )


def _signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> Table:
    return make_table(
        "SignatureDef",
        signature_key="serving_default",
        inputs=[make_table("TensorMap", name=name, tensor_index=i) for name, i in inputs.items()],
        outputs=[make_table("TensorMap", name=name, tensor_index=i) for name, i in outputs.items()],
    )
