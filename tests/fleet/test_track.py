from mesh.fleet.track import Phase, Track, idle
from mesh.ids import NodeId
from mesh.testing.documents import sample_plan, sample_stage

A = NodeId("a" * 16)


def test_an_idle_track_has_no_plan_under_way_and_keeps_what_it_knows() -> None:
    plan = sample_plan(sample_stage(A, start=0, stop=1))
    track = Track(phase=Phase.CHECKING, next_plan=plan, problem="why", since_s=1.0)
    assert idle(track, 5.0) == Track(phase=Phase.UNPLANNED, problem="why", since_s=5.0)
