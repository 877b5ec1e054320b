"""Who runs what: the exact best pipeline for measured nodes, layers and links, and why."""

from mesh.planning.evaluation import evaluate
from mesh.planning.problem import Objective, PlanLink, PlanNode, Problem
from mesh.planning.solution import Bottleneck, BottleneckKind, PlannedStage, Solution
from mesh.planning.solver import solve

__all__ = [
    "Bottleneck",
    "BottleneckKind",
    "Objective",
    "PlanLink",
    "PlanNode",
    "PlannedStage",
    "Problem",
    "Solution",
    "evaluate",
    "solve",
]
