"""Slices are those that a second slicer builds through the generated schema; files keep all fields."""

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from mesh.model import LayerRange, Limits, cut_points, read_model, slice_model
from mesh.model.decoder import decode
from mesh.model.encoder import encode
from mesh.testing.random_graphs import random_graph
from tests.exactness.catalogue import entries, is_converted, is_servable, needs_samples

pytest.importorskip("ai_edge_litert.schema_py_generated", reason="the generated schema is LiteRT's")

from tests.exactness.oracle import Oracle, plain, unpack

MAX_CUTS = 16
"""Models with more cuts are cut at some of them."""
SOME_CUTS = 3
CATALOGUE = [
    pytest.param(name, marks=[pytest.mark.samples] if needs_samples(name) else [])
    for name in entries()
    if not is_converted(name)
]
KEEPS_STATE = frozenset(
    {
        "micro_alexa",
        "micro_hey_jarvis",
        "micro_hey_mycroft",
        "okay_nabu",
        "running_total",
        "variable_filter",
    }
)
"""Inside, where the second slicer does not look."""
SERVABLE = [each for each in CATALOGUE if is_servable(str(each.values[0]))]
STATEFUL = [each for each in SERVABLE if each.values[0] in KEEPS_STATE]
STATELESS = [each for each in SERVABLE if each.values[0] not in KEEPS_STATE]
ReadSample = Callable[[str], bytes]


def _differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two trees differ, for people."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [each for key in one for each in _differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [each for at, pair in pairs for each in _differences(*pair, f"{path}[{at}]")]
    return [] if one == other else [f"{path}: {str(one)[:80]} is not {str(other)[:80]}"]


def _assert_slices_agree(file: bytes) -> None:
    model, oracle = read_model(file), Oracle(file)
    assert len(model.layers) == len(oracle.layers)
    cuts = [cut.layer for cut in cut_points(model)]
    if len(cuts) > MAX_CUTS:
        cuts = sorted(Random(len(cuts)).sample(cuts, SOME_CUTS))
    bounds = [0, *cuts, len(model.layers)]
    ends = [*((0, cut) for cut in bounds[1:]), *((cut, bounds[-1]) for cut in cuts)]
    for start, stop in {*ends, *itertools.pairwise(bounds)}:
        mine = slice_model(model, LayerRange(start=start, stop=stop))
        found = _differences(plain(unpack(mine)), plain(oracle.slice(start, stop)))
        assert not found, f"layers {start} to {stop}: {found[:5]}"


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_file_read_and_written_again_keeps_every_field(
    name: str, read_sample: ReadSample
) -> None:
    file = read_sample(name)
    again = encode(decode(memoryview(file), Limits()))

    assert not _differences(plain(unpack(again)), plain(unpack(file)))[:5]


@pytest.mark.parametrize("name", STATELESS)
def test_slices_are_those_of_the_generated_schema(name: str, read_sample: ReadSample) -> None:
    _assert_slices_agree(read_sample(name))


@pytest.mark.parametrize("seed", range(25))
def test_slices_of_random_graphs_are_those_of_the_generated_schema(seed: int) -> None:
    _assert_slices_agree(random_graph(Random(seed)))


def _operators(file: bytes) -> list[Any]:
    """Each operator of the main graph with its code and tensors instead of their numbers."""
    model = unpack(file)
    graph = model.subgraphs[0]
    found = []
    for operator in graph.operators:
        tree = plain(operator)
        tree["opcodeIndex"] = plain(model.operatorCodes[operator.opcodeIndex])
        for field in ("inputs", "outputs", "intermediates"):
            tensors = [] if getattr(operator, field) is None else getattr(operator, field)
            tree[field] = [_tensor(model, graph.tensors[at]) if at >= 0 else -1 for at in tensors]
        found.append(tree)
    return found


def _tensor(model: Any, tensor: Any) -> Any:
    tree = plain(tensor)
    tree["buffer"] = plain(model.buffers[tensor.buffer].data)
    return tree


@pytest.mark.parametrize("name", STATEFUL)
def test_slices_with_hidden_state_have_the_wholes_operators(
    name: str, read_sample: ReadSample
) -> None:
    file = read_sample(name)
    model = read_model(file)
    assert model.keeps_hidden_state
    whole = _operators(file)
    bounds = [0, *(cut.layer for cut in cut_points(model)), len(model.layers)]
    made: list[Any] = []
    for start, stop in itertools.pairwise(bounds):
        made += _operators(slice_model(model, LayerRange(start=start, stop=stop)))

    assert all(operator in whole for operator in made)
    assert all(operator in made for operator in whole)
