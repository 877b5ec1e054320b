"""A mesh of real nodes with a share of this machine's processor each: plans are forced, run and timed.

For root on Linux, see `cpu_quota`. The load comes from outside the shares, through the gateway node.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mesh.client import Client
from mesh.demo.load import LoadReport, Question, run_load
from mesh.demo.whole import WholeModel
from mesh.device.processor_time import processor_s
from mesh.errors import DeadlineExceededError
from mesh.planning.wishes import Wishes
from mesh.store.http_client import upload
from mesh.testing.cpu_quota import CpuGroup, cpu_groups
from mesh.testing.local_mesh import ADD_TIMEOUT_S, LocalMesh, await_status
from mesh.wire.control import AddModelReply, AddModelRequest, ModelStatus, StatusReply, Verb
from mesh.wire.documents import StageState

PLAN_TIMEOUT_S = 240.0
"""The first node to have a model measures it for all, with its share: they have the same processor."""
MEET_TIMEOUT_S = 60.0
STEADY_S = 6.0
"""How long a plan must have been the live one."""
POLL_S = 0.5
WARM_UP_S = 2.0
_MIN_REQUESTS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a load came to: answers per second, and what each node used of its share meanwhile."""

    requests_per_s: float
    answered: int
    failures: tuple[str, ...]
    wrong: int
    used: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLab:
    """A running mesh: `groups` by the names of its nodes; `gateway` is asked, and coordinates."""

    mesh: LocalMesh
    groups: Mapping[str, CpuGroup]
    cores: dict[str, float]
    gateway: str

    def set_cores(self, name: str, cores: float) -> None:
        """Make a board slower or faster."""
        self.groups[name].set_cores(cores)
        self.cores[name] = cores

    def serve(self, file: Path, name: str, wishes: Wishes) -> ModelStatus:
        """Ask for a plan with these wishes and wait until it is live. Raises: DeadlineExceededError."""
        node = self.mesh.nodes[self.gateway]
        with Client(node.broker_url) as client:
            wish = AddModelRequest(
                model_id=upload(node.http_url, file), name=name, wishes=wishes, replace=True
            )
            client.ask(Verb.MODEL_ADD, wish, AddModelReply, timeout_s=ADD_TIMEOUT_S)
            return self._await_plan(client, name, wishes)

    def _await_plan(self, client: Client, name: str, wishes: Wishes) -> ModelStatus:
        """A plan that keeps the wishes and is not about to be replaced: the last one may keep them too."""
        deadline_s = time.monotonic() + PLAN_TIMEOUT_S
        found, since_s = None, time.monotonic()
        while found is None or time.monotonic() - since_s < STEADY_S:
            time.sleep(POLL_S)
            kept = _fulfilled(client.status(), name, wishes)
            if kept is None or found is None or kept.epoch != found.epoch:
                found, since_s = kept, time.monotonic()
            if time.monotonic() > deadline_s:
                raise DeadlineExceededError(f"no plan of {name} with {wishes}")
        return found

    def model(self, name: str) -> ModelStatus:
        """How a model stands now."""
        with self.mesh.client(self.gateway) as client:
            return next(model for model in client.status().models if model.name == name)

    def rate(self, question: Question, *, expected_per_s: float, seconds: float) -> Rate:
        """Keep the plan full for about so long and count."""
        in_flight = 4 * len(self.cores)
        with self.mesh.client(self.gateway) as client:
            warm_up = max(in_flight, round(WARM_UP_S * expected_per_s))
            run_load(client, question, count=warm_up, in_flight=in_flight)
            count = in_flight + max(_MIN_REQUESTS, round(seconds * expected_per_s))
            before_s, began_s = self._processor_s(), time.monotonic()
            report = run_load(client, question, count=count, in_flight=in_flight)
            elapsed_s = time.monotonic() - began_s
            after_s = self._processor_s()
        return Rate(
            requests_per_s=_steady_rate(report, in_flight),
            answered=report.answered,
            failures=tuple(report.failures),
            wrong=report.wrong,
            used={
                name: sum(
                    used_s - before_s[name].get(pid, used_s)
                    for pid, used_s in after_s[name].items()
                )
                / elapsed_s
                / self.cores[name]
                for name in self.groups
            },
        )

    def _processor_s(self) -> dict[str, dict[int, float]]:
        return {
            name: {pid: processor_s(pid) for pid in group.pids()}
            for name, group in self.groups.items()
        }


@contextlib.contextmanager
def quota_lab(cores: Mapping[str, float], folder: Path) -> Iterator[QuotaLab]:
    """A mesh of a node for each name, while the context lasts; the first one is the gateway.

    Raises: DeviceError where no quota can be set, NodeLostError.
    """
    gateway, *others = cores
    with (
        cpu_groups(cores) as groups,
        LocalMesh(folder, groups=groups) as mesh,
    ):
        lab = QuotaLab(mesh=mesh, groups=groups, cores=dict(cores), gateway=gateway)
        _make_first(mesh, gateway)
        mesh.start(gateway)
        mesh.start_all(tuple(others))
        _await_met(lab, len(cores))
        yield lab


def question_of(file: Path, name: str, *, seed: int = 0) -> Question:
    """A request drawn from a seed, with the bytes that the whole model answers."""
    draw = np.random.default_rng(seed)
    with WholeModel(file) as whole:
        inputs: dict[str, npt.NDArray[Any]] = {
            spec.name: draw.random(spec.shape).astype(spec.data_type.numpy_name)
            for spec in whole.inputs
        }
        return Question(model_name=name, inputs=inputs, expected=whole.answer(inputs))


def _make_first(mesh: LocalMesh, name: str) -> None:
    """Of nodes with equal claims the one with the lowest id coordinates: draw it for this one."""
    data_dir = mesh.folder / name / "data"
    data_dir.mkdir(parents=True)
    (data_dir / "node_id").write_text("0" * 15 + "1\n", encoding="ascii")


def _await_met(lab: QuotaLab, count: int) -> None:
    with lab.mesh.client(lab.gateway) as client:
        await_status(
            client,
            lambda status: _is_met(status, count, lab.gateway),
            timeout_s=MEET_TIMEOUT_S,
            what=f"{count} nodes, and {lab.gateway} as their coordinator",
        )


def _is_met(status: StatusReply, count: int, gateway: str) -> bool:
    ready = [node for node in status.nodes if node.state == "ready"]
    return len(ready) == count and any(n.is_coordinator and n.name == gateway for n in ready)


def _fulfilled(status: StatusReply, name: str, wishes: Wishes) -> ModelStatus | None:
    """The model once a plan that keeps the wishes is live."""
    model = next((one for one in status.models if one.name == name), None)
    is_measuring = any(node.activities for node in status.nodes)
    if model is None or model.state != "serving" or is_measuring:
        return None
    if model.held_by < len(status.nodes):
        return None
    used = {replica.node_name for replica in model.replicas}
    widest = max((len(stage.replicas) for stage in model.stages), default=0)
    is_kept = (
        used >= set(wishes.must)
        and not used & set(wishes.never)
        and len(model.stages) >= wishes.min_stages
        and (wishes.max_replicas is None or widest <= wishes.max_replicas)
        and all(replica.state is StageState.READY for replica in model.replicas)
    )
    return model if is_kept else None


def _steady_rate(report: LoadReport, in_flight: int) -> float:
    """Without the last answers, while which the pipeline runs empty. Raises: DeadlineExceededError."""
    ended_s = report.finished_s[: len(report.finished_s) - in_flight]
    if len(ended_s) < 2 or ended_s[-1] <= ended_s[0]:
        raise DeadlineExceededError("too few answers to tell a rate: ask for longer")
    return (len(ended_s) - 1) / (ended_s[-1] - ended_s[0])
