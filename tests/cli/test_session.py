"""Where a node is sought: flags over environment over defaults."""

from typing import Any

import pytest

from mesh.cli.session import ask_status, find_model
from mesh.errors import UnknownModelError
from mesh.wire.control import StatusReply


def test_by_default_over_mdns(cli: Any) -> None:
    cli.run("status")
    where = cli.whereabouts[0]
    assert (where.url, where.mesh_name, where.base_topic) == (None, "default", "mesh")
    assert (where.interfaces, where.timeout_s) == ((), 5.0)
    assert cli.mesh.is_closed


def test_the_environment_counts(cli: Any) -> None:
    cli.environment |= {
        "MESH_URL": "mqtt://a",
        "MESH_MESH_NAME": "lab",
        "MESH_MDNS_INTERFACES": "10.0.0.1,10.0.0.2",
        "MESH_BASE_TOPIC": "plant/mesh",
    }
    cli.run("status")
    where = cli.whereabouts[0]
    assert (where.url, where.mesh_name) == ("mqtt://a:1883", "lab")
    assert (where.interfaces, where.base_topic) == (("10.0.0.1", "10.0.0.2"), "plant/mesh")


def test_flags_count_more(cli: Any) -> None:
    cli.environment |= {"MESH_URL": "mqtt://a", "MESH_MESH_NAME": "lab"}
    cli.run("status", "--url", "mqtt://b:99", "--mesh", "field", "--interface", "::1")
    where = cli.whereabouts[0]
    assert (where.url, where.mesh_name, where.interfaces) == ("mqtt://b:99", "field", ("::1",))
    cli.run("plan", "pose", "--timeout", "0.5")
    assert cli.whereabouts[1].timeout_s == 0.5


def test_finding_a_model(status: StatusReply) -> None:
    assert find_model(status, "pose").epoch == 3
    with pytest.raises(UnknownModelError, match="there is no model 'posé'; there are: pose"):
        find_model(status, "posé")


def test_a_status_arrives_clean(cli: Any, status: StatusReply) -> None:
    assert ask_status(cli.mesh, 5.0) == status
