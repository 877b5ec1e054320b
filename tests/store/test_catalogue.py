import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import RemoteError
from mesh.ids import ModelId, NodeId
from mesh.model.tensor import DataType, TensorSpec
from mesh.store import catalogue as catalogues
from mesh.store.catalogue import Catalogue, merge, of
from mesh.store.manifest import MAX_MODELS, ModelManifest

X = TensorSpec(index=0, name="x", data_type=DataType.FP32, shape=(1,))


def manifest(
    name: str = "a",
    revision: int = 1,
    writer: str = "0",
    model: str = "0",
    *,
    deleted: bool = False,
) -> ModelManifest:
    return ModelManifest(
        model_id=ModelId(model * 64),
        name=name,
        size_bytes=1,
        inputs=(X,),
        outputs=(X,),
        revision=revision,
        writer=NodeId(writer * 16),
        deleted=deleted,
    )


MANIFESTS = st.builds(
    manifest,
    st.sampled_from("abc"),
    st.integers(1, 3),
    st.sampled_from("012"),
    st.sampled_from("0f"),
    deleted=st.booleans(),
)
CATALOGUES = st.lists(MANIFESTS, max_size=5).map(of)


@given(CATALOGUES, CATALOGUES, CATALOGUES)
def test_merge_is_a_join(a: Catalogue, b: Catalogue, c: Catalogue) -> None:
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) == a
    assert merge(a, Catalogue()) == a


@given(st.lists(MANIFESTS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_hearing_does_not_matter(found: list[ModelManifest], random: object) -> None:
    assert of(found) == of(reversed(found))


def test_the_later_revision_wins_then_the_larger_writer() -> None:
    old, new = manifest(revision=1, writer="f"), manifest(revision=2, writer="0")
    assert of([new, old]).get("a") == new
    low, high = manifest(writer="0"), manifest(writer="1")
    assert of([high, low]).get("a") == high


def test_a_tombstone_hides_the_name_until_a_later_revision() -> None:
    dead = of([manifest(revision=1), manifest(revision=2, deleted=True)])
    assert dead.get("a") is None
    assert dead.live() == ()
    assert dead.next_revision("a") == 3
    assert dead.next_revision("b") == 1
    assert merge(dead, of([manifest(revision=3)])).get("a") is not None


def test_files_needed_are_those_of_live_models() -> None:
    found = of(
        [manifest("a", model="1"), manifest("b", model="1"), manifest("c", model="2", deleted=True)]
    )
    assert found.model_ids() == {"1" * 64}


def test_the_number_of_models_is_bounded() -> None:
    many = of(manifest(f"m{index:05}") for index in range(MAX_MODELS + 5))
    assert len(many.manifests) == MAX_MODELS


@given(CATALOGUES)
def test_a_catalogue_survives(catalogue: Catalogue) -> None:
    assert catalogues.decode(catalogues.encode(catalogue)) == catalogue


def test_unsorted_or_double_names_are_refused() -> None:
    good = catalogues.encode(of([manifest("a"), manifest("b")]))
    with pytest.raises(RemoteError):
        catalogues.decode(good.replace(b'"name":"a"', b'"name":"b"'))
