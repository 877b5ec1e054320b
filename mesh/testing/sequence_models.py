"""Small float32 models of sequences: attention, and state that is handed in and out or kept inside."""

import json

import numpy as np

from mesh.model.table import make_table
from mesh.testing.float_graph import FloatGraph
from mesh.testing.model_builder import ModelBuilder

_TOKENS = 64
_LENGTH = 12
_WIDTH = 32
_HEADS = 4
_CELLS = 16


def transformer(blocks: int = 2) -> bytes:
    """Inputs "ids" int32 (1, 12) < 64 and "mask" (1, 1, 1, 12), which every block reads.

    Outputs "states" (1, 12, 32) and "pooled" (1, 8).
    """
    graph = FloatGraph(11)
    ids = graph.builder.tensor("ids", (1, _LENGTH), "int32")
    mask = graph.tensor((1, 1, 1, _LENGTH), "mask")
    x = graph.gather(graph.weights(_TOKENS, _WIDTH, gain=4.0), ids, _LENGTH)
    x = _normalised(graph, graph.binary("ADD", x, graph.weights(1, _LENGTH, _WIDTH)))
    for _ in range(blocks):
        x = _normalised(graph, graph.binary("ADD", x, _attention(graph, x, mask)))
        hidden = graph.unary("GELU", graph.dense(x, 2 * _WIDTH))
        x = _normalised(graph, graph.binary("ADD", x, graph.dense(hidden, _WIDTH)))
    pooled = graph.dense(graph.reshape(x, 1, _LENGTH * _WIDTH), 8)
    return graph.builder.build({"ids": ids, "mask": mask}, {"states": x, "pooled": pooled})


def gated_cell(*, declares_state: bool = True) -> bytes:
    """One step of an LSTM between two dense layers: state in as "h", "c", out as "next_h", "next_c".

    Input "x" (1, 8), output "y" (1, 4). `declares_state` writes the pairs into the file.
    """
    graph = FloatGraph(12)
    x, h, c = (graph.tensor((1, n), name) for n, name in ((8, "x"), (_CELLS, "h"), (_CELLS, "c")))
    seen = graph.unary("TANH", graph.dense(x, _CELLS))
    gates = graph.dense(graph.concatenate([seen, h]), 4 * _CELLS)
    keep, add, new, show = graph.split(gates, 4)
    kept = graph.binary("MUL", graph.unary("LOGISTIC", keep), c)
    added = graph.binary("MUL", graph.unary("LOGISTIC", add), graph.unary("TANH", new))
    next_c = graph.binary("ADD", kept, added)
    next_h = graph.binary("MUL", graph.unary("LOGISTIC", show), graph.unary("TANH", next_c))
    y = graph.dense(graph.unary("TANH", graph.dense(next_h, 12)), 4)
    if declares_state:
        pairs = [["h", "next_h"], ["c", "next_c"]]
        graph.builder.metadata("edge_mesh.state", json.dumps(pairs).encode())
    inputs = {"x": x, "h": h, "c": c}
    return graph.builder.build(inputs, {"y": y, "next_h": next_h, "next_c": next_c})


def variable_filter() -> bytes:
    """An SVDF, which keeps its memory in a variable, between dense layers: "x" (1, 8) to "y" (1, 4)."""
    graph = FloatGraph(13)
    units, rank, memory = 6, 2, 5
    x = graph.tensor((1, 8), "x")
    seen = graph.unary("TANH", graph.dense(x, 8))
    state = graph.tensor((1, units * rank * memory), "memory", is_variable=True)
    features, times = graph.weights(units * rank, 8), graph.weights(units * rank, memory)
    made = graph.tensor((1, units))
    graph.builder.operator(
        "SVDF",
        [seen, features, times, -1, state],
        [made],
        make_table("SVDFOptions", rank=rank),
        mutating_variable_inputs=[False, False, False, False, True],
    )
    y = graph.dense(graph.unary("TANH", made), 4)
    return graph.builder.build({"x": x}, {"y": y})


def running_total() -> bytes:
    """The sum of every "x" (1, 8) so far, in a resource variable, between dense layers: "y" (1, 4)."""
    graph = FloatGraph(14)
    _zero_total(graph)
    x = graph.tensor((1, 8), "x")
    seen = graph.dense(x, 8)
    handle = _handle(graph.builder)
    before = graph.tensor((1, 8))
    graph.builder.operator("READ_VARIABLE", [handle], [before])
    total = graph.binary("ADD", before, seen)
    graph.builder.operator("ASSIGN_VARIABLE", [handle, total], [])
    y = graph.dense(graph.unary("TANH", total), 4)
    return graph.builder.build({"x": x}, {"y": y})


def _zero_total(graph: FloatGraph) -> None:
    """CALL_ONCE a subgraph that sets the variable to zeros."""
    first = graph.builder.subgraph()
    zeros = first.constant("zeros", np.zeros((1, 8), np.float32))
    first.operator("ASSIGN_VARIABLE", [_handle(first), zeros], [])
    options = make_table("CallOnceOptions", init_subgraph_index=1)
    graph.builder.operator("CALL_ONCE", [], [], options)


def _handle(builder: ModelBuilder) -> int:
    made = builder.tensor("handle", (), "resource")
    options = make_table("VarHandleOptions", container="", shared_name="total")
    builder.operator("VAR_HANDLE", [], [made], options)
    return made


def _normalised(graph: FloatGraph, x: int) -> int:
    """Layer normalization in the pieces that converters make of it."""
    mean = graph.mean(x)
    variance = graph.mean(graph.binary("SQUARED_DIFFERENCE", x, mean))
    epsilon = graph.constant(np.full((1, 1, 1), 1e-5, np.float32))
    scale = graph.unary("RSQRT", graph.binary("ADD", variance, epsilon))
    centred = graph.binary("SUB", x, mean)
    gains = graph.weights(1, 1, _WIDTH, gain=5.0)
    scaled = graph.binary("MUL", graph.binary("MUL", centred, scale), gains)
    return graph.binary("ADD", scaled, graph.weights(1, 1, _WIDTH))


def _attention(graph: FloatGraph, x: int, mask: int) -> int:
    queries, keys, values = (_heads(graph, graph.dense(x, _WIDTH, gain=2.0)) for _ in range(3))
    scores = graph.product(queries, keys, is_transposed=True)
    scale = graph.constant(np.array((_WIDTH / _HEADS) ** -0.5, np.float32))
    masked = graph.binary("ADD", graph.binary("MUL", scores, scale), mask)
    mixed = graph.product(graph.unary("SOFTMAX", masked, beta=1.0), values)
    return graph.dense(
        graph.reshape(graph.transpose(mixed, 0, 2, 1, 3), 1, _LENGTH, _WIDTH), _WIDTH
    )


def _heads(graph: FloatGraph, x: int) -> int:
    split = graph.reshape(x, 1, _LENGTH, _HEADS, _WIDTH // _HEADS)
    return graph.transpose(split, 0, 2, 1, 3)
