from mesh.cli.demo_figures import DemoFigures
from mesh.cli.demo_speed import Speed
from mesh.demo.load import LoadReport
from mesh.wire.infer import Timing


def speed(total_s: float, requests_per_s: float, hops: int) -> Speed:
    timing = Timing(total_s=total_s, transfer_s=0.006, stages=())
    return Speed(label="", timing=timing, hops=hops, requests_per_s=requests_per_s)


def test_figures_are_members_of_one_object() -> None:
    figures = DemoFigures(checked=20, equal=20)
    figures.take_speeds(speed(0.03, 40.0, 3), speed(0.02, 50.0, 0))
    report = LoadReport(sent=9, answered=7, wrong=1, failures=["a: b"], finished_s=[0.5, 2.0])
    figures.take_kill(report)
    assert figures.members() == {
        "found_each_other_s": 0.0,
        "predicted_requests_per_s": 0.0,
        "pipeline_requests_per_s": 40.0,
        "pipeline_answer_s": 0.03,
        "pipeline_hops": 3,
        "pipeline_per_hop_s": 0.002,
        "single_requests_per_s": 50.0,
        "single_answer_s": 0.02,
        "checked": 20,
        "equal": 20,
        "kill_sent": 9,
        "kill_answered": 7,
        "kill_failed": 1,
        "kill_wrong": 1,
        "kill_longest_pause_s": 1.5,
    }
