"""What the demo measured, for `--json`."""

from dataclasses import asdict, dataclass
from typing import Any

from mesh.cli.demo_speed import Speed
from mesh.demo.load import LoadReport


@dataclass(slots=True, kw_only=True)
class DemoFigures:
    """Filled in step by step. An answer's time is the median of requests sent one at a time."""

    found_each_other_s: float = 0.0
    predicted_requests_per_s: float = 0.0
    pipeline_requests_per_s: float = 0.0
    pipeline_answer_s: float = 0.0
    pipeline_hops: int = 0
    pipeline_per_hop_s: float = 0.0
    single_requests_per_s: float = 0.0
    single_answer_s: float = 0.0
    checked: int = 0
    equal: int = 0
    kill_sent: int = 0
    kill_answered: int = 0
    kill_failed: int = 0
    kill_wrong: int = 0
    kill_longest_pause_s: float = 0.0

    def take_speeds(self, pipeline: Speed, single: Speed) -> None:
        """What the pipeline and a node alone achieved."""
        self.pipeline_requests_per_s = pipeline.requests_per_s
        self.pipeline_answer_s = pipeline.timing.total_s
        self.pipeline_hops = pipeline.hops
        self.pipeline_per_hop_s = pipeline.per_hop_s or 0.0
        self.single_requests_per_s = single.requests_per_s
        self.single_answer_s = single.timing.total_s

    def take_kill(self, report: LoadReport) -> None:
        """What the run with the kill in it did."""
        self.kill_sent = report.sent
        self.kill_answered = report.answered
        self.kill_failed = len(report.failures)
        self.kill_wrong = report.wrong
        self.kill_longest_pause_s = report.longest_pause_s()

    def members(self) -> dict[str, Any]:
        return asdict(self)
