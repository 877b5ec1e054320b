"""Who runs what: the exact best pipeline for measured nodes, layers and links, and why."""

from mesh.planning.evaluation import Assignment, evaluate
from mesh.planning.explanation import Explanation, explain
from mesh.planning.front import pareto_front
from mesh.planning.problem import Objective, PlanLink, PlanNode, Problem
from mesh.planning.reasons.helps import Help
from mesh.planning.reasons.left_out import LeftOut, WhyLeftOut
from mesh.planning.solution import (
    Bottleneck,
    BottleneckKind,
    PlannedReplica,
    PlannedStage,
    Solution,
)
from mesh.planning.solver import solve

__all__ = [
    "Assignment",
    "Bottleneck",
    "BottleneckKind",
    "Explanation",
    "Help",
    "LeftOut",
    "Objective",
    "PlanLink",
    "PlanNode",
    "PlannedReplica",
    "PlannedStage",
    "Problem",
    "Solution",
    "WhyLeftOut",
    "evaluate",
    "explain",
    "pareto_front",
    "solve",
]
