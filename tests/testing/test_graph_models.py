from mesh.model import LayerRange, cut_points, read_model, stage_interface
from mesh.testing.graph_models import (
    branches,
    optional_inputs,
    pass_through,
    shared_buffers,
    two_signatures,
)


def test_the_mask_passes_every_stage_between_the_first_and_the_last() -> None:
    model = read_model(pass_through())
    inner = stage_interface(model, LayerRange(start=2, stop=5))

    passing = {spec.name for spec in inner.sent} - {spec.name for spec in inner.produced}
    assert passing == {"mask", "first", "x"}
    assert {"x", "mask"} <= {spec.name for spec in model.inputs}


def test_one_buffer_is_read_under_three_names() -> None:
    model = read_model(shared_buffers())
    names = {
        tensor.name
        for layer in model.layers
        for tensor in (model.tensors[index] for index in layer.reads)
        if tensor.buffer == model.tensors[model.layers[0].inputs[1]].buffer
    }

    assert len(names) == 3
    assert "flat" in names


def test_branches_end_in_four_outputs() -> None:
    model = read_model(branches())

    assert len(model.outputs) == 4
    assert len(model.layers[0].outputs) == 4
    assert max(len(cut.live) for cut in cut_points(model)) >= 4


def test_what_is_optional_is_left_out() -> None:
    model = read_model(optional_inputs())

    assert sum(-1 in layer.inputs for layer in model.layers) == 3
    assert len(model.layers) == len(model.operators) - 1  # nothing needs the last TANH
    assert all(spec.name != "unread" for cut in cut_points(model) for spec in cut.live)


def test_clients_use_the_names_of_the_signature_that_covers_all() -> None:
    model = read_model(two_signatures())

    assert [spec.name for spec in model.inputs] == ["left", "right"]
    assert [spec.name for spec in model.outputs] == ["y", "z"]
    assert len(model.root.tables("signature_defs")) == 2
