"""The gateway's own work in a search: the least of it, and the problem in which its node does nothing else."""

from dataclasses import replace

from mesh.planning.problem import PlanNode, Problem


def least_work_s(problem: Problem) -> float:
    """What a request takes the gateway's machine in every plan; 0 where that is not known."""
    gateway = _busy(problem)
    if gateway is None:
        return 0.0
    core_s = problem.gateway_request_cpu_s
    for end in (0, -1):
        if gateway.layer_s[end] is None:  # another node has the first or last stage
            core_s += gateway.message_cpu_s + gateway.byte_cpu_s * problem.boundary_bytes[end]
    return core_s / max(one.host_cores for one in problem.nodes if one.host_id == gateway.host_id)


def relieved(problem: Problem) -> Problem | None:
    """The problem in which the gateway's node runs no stage; None where it has no choice or no need."""
    gateway = _busy(problem)
    is_idle = gateway is None or set(gateway.layer_s) == {None}
    if gateway is None or is_idle or gateway.node_id in problem.required or len(problem.nodes) < 2:
        return None
    idle = replace(gateway, layer_s=(None,) * problem.layers)
    nodes = tuple(idle if node is gateway else node for node in problem.nodes)
    return replace(problem, nodes=nodes)


def _busy(problem: Problem) -> PlanNode | None:
    """The gateway's node, where requests are known to cost it something."""
    if not problem.gateway_request_cpu_s:
        return None
    found = (node for node in problem.nodes if node.node_id == problem.gateway and node.host_id)
    return next(found, None)
