"""Builds small .tflite files operator by operator, without a converter; what they compute is not here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mesh.model.encoder import encode
from mesh.model.schema import OPERATOR_NAMES, TENSOR_TYPE_NAMES, UNION_MEMBERS
from mesh.model.table import Table, make_table

TENSOR_TYPES = {
    "bool": "BOOL",
    "float16": "FLOAT16",
    "float32": "FLOAT32",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "resource": "RESOURCE",
    "string": "STRING",
}
"""schema.fbs TensorType names by NumPy dtype name; the last two have none."""

Quantization = tuple[float, int] | Table
"""(scale, zero_point), or a QuantizationParameters table as `per_channel` makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What clients call some of a model's inputs and outputs: names to tensors."""

    key: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


def per_channel(scales: NDArray[np.floating], axis: int) -> Table:
    """Symmetric quantization with a scale for each index along `axis`."""
    return make_table(
        "QuantizationParameters",
        scale=scales.tolist(),
        zero_point=[0] * scales.size,
        quantized_dimension=axis,
    )


class ModelBuilder:
    """Collects tensors and operators of one subgraph; methods return the index of what they added."""

    def __init__(self) -> None:
        self._others: list[ModelBuilder] = []
        self._tensors: list[Table] = []
        self._buffers: list[Table] = [make_table("Buffer")]
        self._codes: dict[tuple[str, int], int] = {}
        self._operators: list[Table] = []
        self._metadata: list[Table] = []

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        *,
        quantization: Quantization | None = None,
        **fields: bool | int | Sequence[int] | None,
    ) -> int:
        """An activation. `fields` are further schema fields."""
        return self._add_tensor(name, shape, dtype, quantization=quantization, **fields)

    def constant(
        self,
        name: str,
        content: NDArray[np.generic],
        *,
        quantization: Quantization | None = None,
        shape: Sequence[int] | None = None,
        **fields: Table,
    ) -> int:
        """A tensor with content, in a buffer of its own; `shape` where it is not the content's."""
        return self._add_tensor(
            name,
            content.shape if shape is None else shape,
            content.dtype.name,
            quantization=quantization,
            buffer=self._buffer(content),
            **fields,
        )

    def twin(self, name: str, constant: int, shape: Sequence[int] | None = None) -> int:
        """Another tensor in the buffer of a constant, which may see it in another shape."""
        table = self._tensors[constant].replace(name=name.encode())
        if shape is not None:
            table = table.replace(**make_table("Tensor", shape=list(shape)).values)
        self._tensors.append(table)
        return len(self._tensors) - 1

    def subgraph(self) -> "ModelBuilder":
        """Another subgraph of the same file, without inputs and outputs; the first is number 1."""
        other = ModelBuilder()
        other._buffers, other._codes = self._buffers, self._codes
        self._others.append(other)
        return other

    def metadata(self, name: str, content: bytes) -> None:
        """An entry of the model's metadata."""
        buffer = self._buffer(np.frombuffer(content, np.uint8))
        self._metadata.append(make_table("Metadata", name=name, buffer=buffer))

    def _buffer(self, content: NDArray[np.generic]) -> int:
        little = content.astype(content.dtype.newbyteorder("<"), copy=False)
        self._buffers.append(make_table("Buffer", data=little.tobytes()))
        return len(self._buffers) - 1

    def _add_tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str,
        *,
        quantization: Quantization | None,
        **fields: bool | int | Sequence[int] | Table | None,
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
        **fields: str | bytes | Sequence[int],
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

    def build(
        self,
        inputs: Mapping[str, int],
        outputs: Mapping[str, int],
        *,
        signatures: Sequence[Signature] | None = None,
    ) -> bytes:
        """The file; unless told otherwise with one signature that names all inputs and outputs."""
        if signatures is None:
            signatures = [Signature(key="serving_default", inputs=inputs, outputs=outputs)]
        ends = (list(inputs.values()), list(outputs.values()))
        others = [other.table(f"other{at}", [], []) for at, other in enumerate(self._others)]
        return encode(
            make_table(
                "Model",
                version=3,
                description="edge-mesh test model",
                operator_codes=[_code(name, version) for name, version in self._codes],
                subgraphs=[self.table("main", *ends), *others],
                buffers=self._buffers,
                metadata=self._metadata or None,
                signature_defs=[_signature(each) for each in signatures],
            )
        )

    def table(self, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> Table:
        """The subgraph as it is so far."""
        return make_table(
            "SubGraph",
            name=name,
            tensors=self._tensors,
            inputs=inputs,
            outputs=outputs,
            operators=self._operators,
        )


def _quantization(quantization: Quantization | None) -> Table | None:
    if quantization is None or isinstance(quantization, Table):
        return quantization
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


def _signature(signature: Signature) -> Table:
    return make_table(
        "SignatureDef",
        signature_key=signature.key,
        inputs=_tensor_maps(signature.inputs),
        outputs=_tensor_maps(signature.outputs),
    )


def _tensor_maps(names: Mapping[str, int]) -> list[Table]:
    return [make_table("TensorMap", name=name, tensor_index=at) for name, at in names.items()]
