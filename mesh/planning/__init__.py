"""Who runs what: the exact best pipeline for measured nodes, layers and links, and why."""

from mesh.planning.evaluation import Assignment, evaluate
from mesh.planning.explanation import Explanation, explain
from mesh.planning.left_out import LeftOut, WhyLeftOut
from mesh.planning.problem import Objective, PlanLink, PlanNode, Problem
from mesh.planning.solution import Bottleneck, BottleneckKind, PlannedStage, Solution
from mesh.planning.solver import solve

__all__ = [
    "Assignment",
    "Bottleneck",
    "BottleneckKind",
    "Explanation",
    "LeftOut",
    "Objective",
    "PlanLink",
    "PlanNode",
    "PlannedStage",
    "Problem",
    "Solution",
    "WhyLeftOut",
    "evaluate",
    "explain",
    "solve",
]
