import pytest

from mesh.ids import NodeId
from mesh.testing.documents import sample_advert, sample_plan, sample_stage

A, B = NodeId("a" * 16), NodeId("b" * 16)


def test_a_sample_is_of_the_node_named_and_as_changed() -> None:
    advert = sample_advert(A, name="pi", threads=2)
    assert (advert.node_id, advert.name, advert.threads) == (A, "pi", 2)


def test_a_sample_stage_is_shared_evenly() -> None:
    stage = sample_stage(A, B, start=2, stop=5, compute_s=0.3)
    assert (stage.node_ids, stage.start, stage.stop) == ((A, B), 2, 5)
    assert {(one.share, one.compute_s) for one in stage.replicas} == {(0.5, 0.3)}


def test_a_sample_plan_has_the_stages_given_and_is_as_changed() -> None:
    stages = sample_stage(A, start=0, stop=1), sample_stage(B, start=1, stop=2)
    plan = sample_plan(*stages, latency_s=3.0)
    assert (plan.stages, plan.latency_s, plan.node_ids) == (stages, 3.0, (A, B))


def test_an_unknown_field_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="colour"):
        sample_advert(A, colour="red")
