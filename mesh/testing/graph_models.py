"""Small float32 models of unusual shape: what crosses cuts, is shared, left out or named twice."""

from mesh.model.table import make_table
from mesh.testing.float_graph import FloatGraph
from mesh.testing.model_builder import Signature


def pass_through() -> bytes:
    """Input "mask" is read by the first and the last layers only: it passes every stage between.

    The first layer's result is an output as well, and so is input "x" itself.
    """
    graph = FloatGraph(1)
    x, mask = graph.tensor((1, 16), "x"), graph.tensor((1, 16), "mask")
    first = y = graph.binary("MUL", x, mask)
    for _ in range(5):
        y = graph.unary("TANH", graph.dense(y, 16, gain=1.5))
    y = graph.binary("ADD", y, mask)
    outputs = {"y": y, "first": first, "same": x}
    return graph.builder.build({"x": x, "mask": mask}, outputs)


def shared_buffers() -> bytes:
    """One buffer is the weights of three layers, under two tensors of two shapes."""
    graph = FloatGraph(2)
    x = graph.tensor((1, 12), "x")
    weights = graph.weights(12, 12)
    flat = graph.twin(weights, (1, 144), "flat")
    twin = graph.twin(weights)
    y = x
    for used in (weights, twin, weights):
        made = graph.tensor((1, 12))
        options = make_table("FullyConnectedOptions")
        graph.builder.operator("FULLY_CONNECTED", [y, used, -1], [made], options)
        y = graph.unary("LOGISTIC", made)
    wide = graph.binary("MUL", graph.concatenate([y] * 12), flat)
    return graph.builder.build({"x": x}, {"y": y, "wide": wide})


def branches() -> bytes:
    """SPLIT makes four outputs, one of them unread; three branches meet; four graph outputs."""
    graph = FloatGraph(3)
    x = graph.tensor((1, 8, 32), "x")
    parts = graph.split(x, 4)
    a = graph.unary("TANH", graph.dense(parts[0], 16))
    b = graph.unary("LOGISTIC", graph.dense(parts[1], 16, bias=False))
    c = graph.unary("RELU", graph.dense(graph.binary("SUB", parts[0], parts[2]), 16))
    joined = graph.concatenate([a, b, c])
    total = graph.binary("ADD", graph.dense(joined, 16), a)
    scores = graph.unary("SOFTMAX", total, beta=1.0)
    outputs = {"scores": scores, "total": total, "b": b, "part": parts[2]}
    return graph.builder.build({"x": x}, outputs)


def optional_inputs() -> bytes:
    """Layers without bias (−1), an input that nothing reads, and an operator that nothing needs."""
    graph = FloatGraph(4)
    x, unread = graph.tensor((1, 16), "x"), graph.tensor((1, 3), "unread")
    y = x
    for at in range(4):
        y = graph.unary("TANH", graph.dense(y, 16, bias=at % 2 == 0))
    graph.unary("TANH", y)
    return graph.builder.build({"unread": unread, "x": x}, {"y": graph.dense(y, 5, bias=False)})


def two_signatures() -> bytes:
    """One signature covers the whole model; another names a part of it."""
    graph = FloatGraph(5)
    a, b = graph.tensor((1, 8), "left:0"), graph.tensor((1, 8), "right:0")
    hidden = graph.unary("TANH", graph.dense(graph.concatenate([a, b]), 16))
    y, z = graph.dense(hidden, 4), graph.dense(hidden, 2)
    inputs, outputs = {"left": a, "right": b}, {"y": y, "z": z}
    signatures = [
        Signature(key="serving_default", inputs=inputs, outputs=outputs),
        Signature(key="only_y", inputs={"first": a, "second": b}, outputs={"result": y}),
    ]
    return graph.builder.build(inputs, outputs, signatures=signatures)
