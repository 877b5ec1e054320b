import contextlib
import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.errors import UsageError
from mesh.ids import ModelId, NodeId
from mesh.planning import Objective, PlanLink, PlanNode, Problem
from mesh.planning.problem_file import (
    FORMAT,
    ModelNote,
    ProblemDocument,
    document_of,
    problem_of,
    read_problem,
    write_problem,
)
from mesh.planning.published import read_case
from mesh.wire import codec

DATA = Path(__file__).parent / "data"
DOCUMENT = Path(__file__).parents[2] / "docs" / "what-if.md"
SECONDS = st.floats(0, 1e6, allow_subnormal=True)
SIZES = st.floats(0, 2**53)
TEXTS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=12).filter(
    str.isprintable
)
IDS = st.text("abcdef0123456789-", min_size=1, max_size=8).map(NodeId)


@st.composite
def nodes(draw: st.DrawFn, node_id: NodeId, layers: int) -> PlanNode:
    times = st.lists(st.none() | SECONDS, min_size=layers, max_size=layers)
    return PlanNode(
        node_id=node_id,
        layer_s=tuple(draw(times)),
        stage_s=draw(SECONDS),
        memory_bytes=draw(SIZES),
        threads=draw(st.integers(1, 64)),
        host_id=draw(TEXTS),
        host_cores=draw(st.floats(0.01, 64)),
        message_cpu_s=draw(SECONDS),
        byte_cpu_s=draw(SECONDS),
        name=draw(TEXTS),
        unable=draw(TEXTS),
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    layers = draw(st.integers(1, 5))
    ids = draw(st.lists(IDS, min_size=1, max_size=5, unique=True))
    boundaries = {"min_size": layers + 1, "max_size": layers + 1}
    goodput = st.floats(1e-3, 1e12) | st.just(math.inf)
    links = st.builds(PlanLink, goodput_bytes_per_s=goodput, message_s=SECONDS)
    pairs = st.tuples(st.sampled_from(ids), IDS).filter(lambda pair: pair[0] != pair[1])
    held = st.just(()) | st.lists(SIZES, **boundaries).map(tuple)  # type: ignore[arg-type]
    some = st.frozensets(st.sampled_from(ids))
    min_stages = draw(st.integers(1, 4))
    return Problem(
        nodes=tuple(draw(nodes(node_id, layers)) for node_id in ids),
        layer_memory_bytes=tuple(draw(st.lists(SIZES, min_size=layers, max_size=layers))),
        boundary_bytes=tuple(draw(st.lists(st.integers(0, 2**53), **boundaries))),  # type: ignore[arg-type]
        links=draw(st.dictionaries(pairs, links, max_size=8)),
        gateway=draw(st.none() | IDS),
        gateway_request_cpu_s=draw(SECONDS),
        stage_memory_bytes=draw(SIZES),
        receive_memory_bytes=draw(held),
        send_memory_bytes=draw(held),
        min_stages=min_stages,
        max_stages=draw(st.none() | st.integers(min_stages, 9)),
        max_replicas=draw(st.none() | st.integers(1, 9)),
        required=draw(some),
        private_layers=draw(st.integers(0, layers)),
        private_nodes=draw(some),
        latency_bound_s=draw(st.just(math.inf) | st.floats(1e-9, 1e6)),
        objective=draw(st.sampled_from(Objective)),
    )


@given(problem=problems())
@settings(max_examples=100, deadline=None)
def test_a_problem_comes_back_as_it_was(problem: Problem) -> None:
    document = document_of(problem, model=ModelNote(name="pose", model_id=ModelId("0" * 64)))
    assert read_problem(write_problem(document)) == document
    assert problem_of(document) == problem


@given(problem=problems())
@settings(max_examples=30, deadline=None)
def test_it_travels_as_it_is(problem: Problem) -> None:
    document = document_of(problem)
    plain = json.loads(codec.encode(document))
    assert codec.from_plain(ProblemDocument, plain) == document
    assert read_problem(json.dumps(plain)) == document


def test_a_document_has_all_that_decides_a_plan() -> None:
    known = {one.name for one in fields(ProblemDocument)}
    assert known == {"format", "model"} | {one.name for one in fields(Problem)}


@pytest.mark.parametrize("kind", [ProblemDocument, PlanNode])
def test_every_key_is_documented(kind: type[ProblemDocument | PlanNode]) -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if "| `" in line]
    told = {key for row in rows for key in row.split("|")[1].replace("`", "").split(", ")}
    assert {one.name for one in fields(kind)} <= {key.strip() for key in told}


def test_people_can_read_it() -> None:
    problem = problem_for("fast", "slow")
    text = write_problem(document_of(problem, model=ModelNote(name="pose", boundaries=(0, 3, 9))))
    lines = text.splitlines()
    assert lines[1:3] == [
        f'  "format": "{FORMAT}",',
        '  "model": {"name": "pose", "model_id": "", "boundaries": [0, 3, 9]},',
    ]
    assert any(line.startswith('    {"node_id": "fast", "layer_s": [0.1, null],') for line in lines)
    assert (
        '    {"sender": "fast", "receivers": [{"receiver": "slow", "goodput_bytes_per_s": 1000000.0, '
        '"message_s": 0.001}]}'
    ) in text


def test_what_is_not_said_is_not_asked_for() -> None:
    document = read_problem(
        json.dumps(
            {
                "format": FORMAT,
                "nodes": [{"node_id": "a", "layer_s": [1], "stage_s": 0, "memory_bytes": 8}],
                "layer_memory_bytes": [1],
                "boundary_bytes": [1, 1],
                "links": [],
            }
        )
    )
    assert problem_of(document) == Problem(
        nodes=(PlanNode(node_id=NodeId("a"), layer_s=(1.0,), stage_s=0.0, memory_bytes=8),),
        layer_memory_bytes=(1.0,),
        boundary_bytes=(1, 1),
        links={},
        gateway=None,
    )


def test_a_published_case_can_be_written() -> None:
    case = read_case((DATA / "published-vit-base.json").read_bytes())
    document = document_of(case.problem)
    assert problem_of(read_problem(write_problem(document))) == case.problem


def problem_for(*ids: str) -> Problem:
    link = PlanLink(goodput_bytes_per_s=1e6, message_s=1e-3)
    return Problem(
        nodes=tuple(
            PlanNode(node_id=NodeId(one), layer_s=(0.1, None), stage_s=0.0, memory_bytes=1e6)
            for one in ids
        ),
        layer_memory_bytes=(1.0, 2.0),
        boundary_bytes=(4, 4, 4),
        links={(NodeId(a), NodeId(b)): link for a in ids for b in ids if a != b},
        gateway=NodeId("gateway"),
    )


def plain() -> Any:
    return json.loads(write_problem(document_of(problem_for("a", "b"))))


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("format", "edge-mesh-problem/2", 'not of the format "edge-mesh-problem/1"'),
        ("latency_bound", 1.0, 'unknown key "latency_bound"'),
        ("objective", "both", "objective must be"),
        ("min_stages", 0, "contradicts itself: min_stages must be at least 1"),
        ("boundary_bytes", [4, 4], "contradicts itself: boundary_bytes must name 3"),
        ("boundary_bytes", [4, 4, 0.5], r"boundary_bytes\[2\] must be a whole number"),
        ("layer_memory_bytes", [1, -1], "contradicts itself: layer_memory_bytes"),
        ("latency_bound_s", 0, "contradicts itself: latency_bound_s"),
        ("nodes", [{"node_id": "a"}], r'nodes\[0\] lacks the key "layer_s"'),
        ("links", [{"sender": "a"}], r'links\[0\] lacks the key "receivers"'),
        ("model", {"boundaries": [0, 1]}, "boundaries must name 3 operators"),
        ("model", {"boundaries": [0, 5, 5]}, "boundaries must increase"),
        ("model", {"boundaries": [1, 5, 6]}, "boundaries must begin with 0"),
    ],
)
def test_a_damaged_file_is_refused_by_name(key: str, value: object, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        problem_of(read_problem(json.dumps({**plain(), key: value})))


def test_a_link_is_given_once() -> None:
    raw = plain()
    raw["links"].append(raw["links"][0])
    with pytest.raises(UsageError, match="the link from a to b is given twice"):
        problem_of(read_problem(json.dumps(raw)))


def test_a_dead_link_is_refused() -> None:
    raw = plain()
    raw["links"][0]["receivers"][0]["goodput_bytes_per_s"] = 0
    with pytest.raises(UsageError, match="leave a dead link out"):
        problem_of(read_problem(json.dumps(raw)))


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_problem(text)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_damage_is_read_or_refused(data: st.DataObject) -> None:
    raw = plain()
    key = data.draw(st.sampled_from(sorted(raw)))
    junk = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    )
    raw[key] = data.draw(junk)
    with contextlib.suppress(UsageError):
        assert problem_of(read_problem(json.dumps(raw))).layers > 0


def test_the_objective_can_be_replaced() -> None:
    problem = replace(problem_for("a"), objective=Objective.LATENCY)
    assert problem_of(document_of(problem)).objective is Objective.LATENCY
