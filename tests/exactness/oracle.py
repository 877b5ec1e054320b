"""Cuts models through the schema that ai-edge-litert generates: a second way, to judge the mesh's by.

It shares no code with mesh/model: the file is unpacked into objects, some are picked and renumbered,
and packed again. It knows no hidden state.
"""

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as generated

_CARRIED_METADATA = {b"reduced_precision_support"}
_STATE_METADATA = b"edge_mesh.state"
_NAMES = {
    number: name for name, number in vars(generated.BuiltinOperator).items() if name.isupper()
}


def unpack(file: bytes) -> Any:
    return generated.ModelT.InitFromPackedBuf(bytearray(file), 0)


def plain(value: Any) -> Any:
    """A tree of what an unpacked object holds; vectors of bytes stay so, others become lists."""
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype == np.uint8 else value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__dict__"):
        return {"type": type(value).__name__} | {k: plain(v) for k, v in vars(value).items()}
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What goes into a slice, all as indices into the whole, in order."""

    inputs: Sequence[int]
    outputs: Sequence[int]
    operators: Sequence[int]


class Oracle:
    """One model file; layers are counted as the mesh counts them."""

    def __init__(self, file: bytes) -> None:
        self._model = unpack(file)
        self._graph = self._model.subgraphs[0]
        self._inputs = _ints(self._graph.inputs)
        self._outputs = _ints(self._graph.outputs)
        self._state = self._declared_state()
        needed = self._needed()
        varying = set(self._inputs)
        for at in needed:
            if varying & set(self._reads(at)):
                varying |= set(self._makes(at))
        self._varying = varying
        self.layers = [at for at in needed if set(self._makes(at)) <= varying]
        self._copied = [at for at in needed if at not in set(self.layers)]

    def slice(self, start: int, stop: int) -> Any:
        """The slice's objects, as unpacking its file would give them."""
        return self._build(self._part(start, stop))

    def _part(self, start: int, stop: int) -> _Part:
        inside = self.layers[start:stop]
        reads = {tensor for at in inside for tensor in self._reads(at)}
        makes = {tensor for at in inside for tensor in self._makes(at)}
        state = [pair for pair in self._state if pair[1] in makes]
        is_last = stop == len(self.layers)
        if is_last:
            makes |= set(self._outputs) - self._varying
        received = self._client_inputs() if start == 0 else self._live(start)
        sent = self._client_outputs() if is_last else self._live(stop)
        outputs = [tensor for tensor in sent if tensor in makes]
        outputs += [made for _, made in state if made not in outputs]
        return _Part(
            inputs=[t for t in received if t in reads] + [given for given, _ in state],
            outputs=outputs,
            operators=self._with_copies(inside, reads | set(outputs)),
        )

    def _build(self, part: _Part) -> Any:
        operators = [copy.copy(self._graph.operators[at]) for at in part.operators]
        tensors = {*part.inputs, *part.outputs}
        for at, operator in zip(part.operators, operators, strict=True):
            extra = [t for t in _ints(operator.intermediates) if t >= 0]
            tensors |= {*self._reads(at), *self._makes(at), *extra}
        tensor_at = {old: new for new, old in enumerate(sorted(tensors))} | {-1: -1}
        metadata = [m for m in self._model.metadata or [] if m.name in _CARRIED_METADATA]
        buffer_at = self._buffers(sorted(tensors), metadata)
        codes = sorted({operator.opcodeIndex for operator in operators})
        for operator in operators:
            operator.opcodeIndex = codes.index(operator.opcodeIndex)
            for field in ("inputs", "outputs", "intermediates"):
                old = getattr(operator, field)
                if old is not None:
                    setattr(operator, field, [tensor_at[t] for t in _ints(old)])
        graph = generated.SubGraphT()
        graph.name = self._graph.name
        graph.operators = operators
        graph.tensors = [self._tensor(old, buffer_at) for old in sorted(tensors)]
        graph.inputs = [tensor_at[t] for t in part.inputs]
        graph.outputs = [tensor_at[t] for t in part.outputs]
        made = generated.ModelT()
        made.version, made.description = self._model.version, self._model.description
        made.operatorCodes = [self._model.operatorCodes[code] for code in codes]
        made.subgraphs = [graph]
        made.buffers = [
            generated.BufferT(),
            *(self._model.buffers[old] for old in sorted(buffer_at)),
        ]
        made.metadata = [_renumbered(m, buffer_at) for m in metadata] or None
        return made

    def _buffers(self, tensors: Iterable[int], metadata: Iterable[Any]) -> dict[int, int]:
        used = {self._graph.tensors[t].buffer for t in tensors} | {m.buffer for m in metadata}
        held = sorted(b for b in used if b and self._model.buffers[b].data is not None)
        return {old: new + 1 for new, old in enumerate(held)}

    def _tensor(self, index: int, buffer_at: dict[int, int]) -> Any:
        return _renumbered(self._graph.tensors[index], buffer_at)

    def _declared_state(self) -> list[tuple[int, int]]:
        for entry in self._model.metadata or []:
            if entry.name == _STATE_METADATA:
                signature = self._model.signatureDefs[0]
                given = {m.name.decode(): m.tensorIndex for m in signature.inputs}
                made = {m.name.decode(): m.tensorIndex for m in signature.outputs}
                pairs = json.loads(bytes(self._model.buffers[entry.buffer].data))
                return [(given[first], made[second]) for first, second in pairs]
        return []

    def _client_inputs(self) -> list[int]:
        return [t for t in self._inputs if t not in {given for given, _ in self._state}]

    def _client_outputs(self) -> list[int]:
        return [t for t in self._outputs if t not in {made for _, made in self._state}]

    def _live(self, cut: int) -> list[int]:
        """What exists before the cut and is wanted after it, but for state, which stays."""
        state = {given for given, _ in self._state}
        before, after = self.layers[:cut], self.layers[cut:]
        exists = {*self._inputs, *(t for at in before for t in self._makes(at))}
        wanted = {*self._client_outputs(), *(t for at in after for t in self._reads(at))}
        return sorted((exists & wanted) - state)

    def _needed(self) -> list[int]:
        wanted, needed = set(self._outputs), []
        for at in reversed(range(len(self._graph.operators))):
            if wanted & set(self._makes(at)):
                wanted |= set(self._reads(at))
                needed.append(at)
        return needed[::-1]

    def _with_copies(self, inside: Sequence[int], wanted: set[int]) -> list[int]:
        chosen = set(inside)
        for at in reversed(self._copied):
            if wanted & set(self._makes(at)):
                wanted = wanted | set(self._reads(at))
                chosen.add(at)
        return sorted(chosen)

    def _name(self, at: int) -> str:
        code = self._model.operatorCodes[self._graph.operators[at].opcodeIndex]
        return str(_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)])

    def _reads(self, at: int) -> list[int]:
        return [t for t in _ints(self._graph.operators[at].inputs) if t >= 0]

    def _makes(self, at: int) -> list[int]:
        return _ints(self._graph.operators[at].outputs)


def _ints(vector: Any) -> list[int]:
    return [] if vector is None else [int(item) for item in vector]


def _renumbered(holder: Any, buffer_at: dict[int, int]) -> Any:
    """A copy of a tensor or a metadata entry that names its buffer by the new number."""
    changed = copy.copy(holder)
    changed.buffer = buffer_at.get(holder.buffer, 0)
    return changed
