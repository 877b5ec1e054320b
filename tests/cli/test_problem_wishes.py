import argparse
import math
from typing import Any

import pytest

from mesh.cli.options import Parser
from mesh.cli.problem_wishes import with_wishes
from mesh.cli.wish_options import add_wishes
from mesh.errors import UsageError
from mesh.ids import NodeId
from mesh.planning import Objective, PlanNode, Problem

PROBLEM = Problem(
    nodes=tuple(
        PlanNode(node_id=NodeId(one), name=name, layer_s=(1.0,), stage_s=0.0, memory_bytes=1)
        for one, name in (("aa", "kitchen"), ("bb", "hall"), ("cc", "hall"))
    ),
    layer_memory_bytes=(1.0,),
    boundary_bytes=(1, 1),
    links={},
    gateway=None,
    max_replicas=1,
)


def arguments(*words: str) -> argparse.Namespace:
    parser = Parser()
    add_wishes(parser)
    return parser.parse_args(words)


def wished(*words: str) -> Problem:
    return with_wishes(PROBLEM, arguments(*words))


def test_what_is_not_wished_stays() -> None:
    assert wished() == PROBLEM


def test_every_wish_is_put_in() -> None:
    words = "--split 2 --replicas 3 --objective latency --latency-bound 50ms --must kitchen"
    problem = wished(*words.split(), "--never", "bb")
    assert (problem.min_stages, problem.max_replicas) == (2, 3)
    assert problem.objective is Objective.LATENCY
    assert math.isclose(problem.latency_bound_s, 0.05)
    assert problem.required == {"aa"}
    assert [node.node_id for node in problem.nodes] == ["aa", "cc"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--must", "attic"), "no node is called 'attic'; there are: kitchen, hall, hall"),
        (("--never", "hall"), "several nodes are called 'hall'"),
        (("--private-prefix", "3"), "--private-prefix needs nodes that have owners"),
    ],
)
def test_what_cannot_be_wished(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        wished(*words)


def test_wishes_that_contradict_the_problem() -> None:
    limited: Any = {"max_stages": 1}
    problem = Problem(**{name: getattr(PROBLEM, name) for name in PROBLEM.__slots__} | limited)
    with pytest.raises(UsageError, match="max_stages must not be less than min_stages"):
        with_wishes(problem, arguments("--split", "2"))


def test_a_node_cannot_be_wished_for_and_away() -> None:
    with pytest.raises(UsageError, match="kitchen cannot be in --must and in --never: choose one"):
        wished("--must", "kitchen", "--never", "aa")
