"""Draws float32 graphs of any form: branches, several outputs, shared and packed constants, bypasses.

Each operator is one that `evaluator` computes too; what becomes of the graphs is up to the tests.
"""

from random import Random

import numpy as np

from mesh.model.table import make_table
from mesh.testing.float_graph import FloatGraph

_WIDTH = 4
_UNARY = ("ABS", "NEG", "RELU", "SQUARE")
_BINARY = ("ADD", "MUL", "SUB", "MAXIMUM", "MINIMUM")
_MAX_OPERATORS = 14


def random_graph(chance: Random) -> bytes:
    """Inputs "x", "y" and perhaps "unread", all (1, 4); every graph has a layer and an output."""
    drawing = _Drawing(chance)
    for _ in range(chance.randint(0, _MAX_OPERATORS)):
        drawing.add_operator()
    return drawing.finish()


class _Drawing:
    """A graph under way; `_sources` are the tensors (1, 4) that a next operator may read."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._graph = FloatGraph(chance.randint(0, 1 << 16))
        self._inputs = {name: self._graph.tensor((1, _WIDTH), name) for name in ("x", "y")}
        if chance.random() < 0.3:
            self._inputs["unread"] = self._graph.tensor((1, _WIDTH), "unread")
        self._made: list[int] = []
        self._constants = [self._graph.weights(1, _WIDTH) for _ in range(2)]
        self._constants.append(self._graph.twin(self._constants[0]))
        self._constants.append(self._half())

    def add_operator(self) -> None:
        kinds = (self._unary, self._binary, self._binary, self._dense, self._split, self._join)
        self._made += self._chance.choice(kinds)()

    def finish(self) -> bytes:
        """An output that depends on both inputs keeps every graph from being without layers."""
        total = self._graph.binary("ADD", self._inputs["x"], self._inputs["y"])
        candidates = [*self._made, self._inputs["x"]]
        chosen = self._chance.sample(candidates, self._chance.randint(0, min(3, len(candidates))))
        names = {f"o{tensor}": tensor for tensor in (*chosen, total)}
        return self._graph.builder.build(self._inputs, names)

    def _source(self) -> int:
        made = [self._inputs["x"], self._inputs["y"], *self._made]
        return self._chance.choice(self._constants if self._chance.random() < 0.2 else made)

    def _unary(self) -> list[int]:
        return [self._graph.unary(self._chance.choice(_UNARY), self._source())]

    def _binary(self) -> list[int]:
        name = self._chance.choice(_BINARY)
        return [self._graph.binary(name, self._source(), self._source())]

    def _dense(self) -> list[int]:
        has_bias = self._chance.random() < 0.5
        return [self._graph.dense(self._source(), _WIDTH, bias=has_bias)]

    def _split(self) -> list[int]:
        """Two halves, one of which may stay unread; each is widened again where it is used."""
        halves = self._graph.split(self._source(), 2)
        used = halves[: self._chance.randint(1, 2)]
        return [self._graph.concatenate([half, half]) for half in used]

    def _join(self) -> list[int]:
        wide = self._graph.concatenate([self._source(), self._source(), self._source()])
        return [self._graph.dense(wide, _WIDTH, bias=False)]

    def _half(self) -> int:
        """Weights in half precision, which DEQUANTIZE unpacks."""
        content = np.linspace(-1, 1, _WIDTH, dtype=np.float16).reshape(1, _WIDTH)
        packed = self._graph.constant(content)
        unpacked = self._graph.tensor((1, _WIDTH))
        options = make_table("DequantizeOptions")
        self._graph.builder.operator("DEQUANTIZE", [packed], [unpacked], options, version=3)
        return unpacked
