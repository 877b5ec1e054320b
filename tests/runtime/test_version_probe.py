import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import DeviceError, UnsupportedModelError
from mesh.model.schema import OPERATOR_NAMES
from mesh.runtime import version_probe
from mesh.runtime.control import Package
from mesh.runtime.detect import detect_runtime
from mesh.runtime.interpreter import InterpreterRuntime
from mesh.runtime.operator_versions import MAX_VERSION, OperatorVersions
from mesh.runtime.version_probe import code_file, operator_versions, probe


@pytest.fixture(scope="module")
def real() -> InterpreterRuntime:
    return detect_runtime()


@pytest.fixture(scope="module")
def known(real: InterpreterRuntime) -> OperatorVersions:
    return real.operator_versions()


ranges = st.dictionaries(
    st.sampled_from(OPERATOR_NAMES),
    st.tuples(st.integers(1, 2), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))),
)


@given(ranges)
def test_any_versions_without_gaps_are_found(known: dict[str, tuple[int, int]]) -> None:
    def knows(number: int, version: int) -> bool:
        first, last = known.get(OPERATOR_NAMES[number], (1, 0))
        return first <= version <= last

    assert probe(knows) == known


def test_a_runtime_that_knows_everything_is_not_asked_for_ever() -> None:
    assert set(probe(lambda _number, _version: True).values()) == {(1, MAX_VERSION)}


FACTS = {
    "litert": {"FULLY_CONNECTED": 12, "GATHER_ND": 5, "STABLEHLO_ADD": 1},
    "tflite": {"FULLY_CONNECTED": 10, "GATHER_ND": 4, "STABLEHLO_ADD": 0},
}
"""LiteRT 2.3 knows these at least, tflite-runtime 2.14 no more."""


def test_the_installed_runtime_knows_what_is_known_of_it(
    real: InterpreterRuntime, known: OperatorVersions
) -> None:
    for name, version in FACTS[real.info().name].items():
        _, last = known.known.get(name, (0, 0))
        assert last >= version if real.info().name == "litert" else last == version
    assert known.known["BROADCAST_TO"][0] == 2


@pytest.mark.parametrize("name", ["ADD", "FULLY_CONNECTED", "BROADCAST_TO", "GELU"])
def test_the_interpreter_itself_draws_the_line_where_the_probe_did(
    real: InterpreterRuntime, known: OperatorVersions, tmp_path: Path, name: str
) -> None:
    file, number = tmp_path / "code.tflite", OPERATOR_NAMES.index(name)
    for version, is_known in ((known.known[name][1], True), (known.known[name][1] + 1, False)):
        file.write_bytes(code_file(number, version))
        refusal = (
            contextlib.nullcontext()
            if is_known
            else pytest.raises(
                UnsupportedModelError, match=f"builtin opcode '{name}' version '{version}'"
            )
        )
        with refusal:
            real.load(file, inputs=(), outputs=(), threads=1, timeout_s=60).close()


PACKAGE = {"litert": Package.LITERT, "tflite": Package.TFLITE}


def test_what_was_found_out_is_kept(
    real: InterpreterRuntime,
    known: OperatorVersions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package, folder = PACKAGE[real.info().name], tmp_path / "new"
    assert operator_versions(package, "1", folder) == known
    monkeypatch.setattr(version_probe, "ask", lambda _package: json.dumps({"ADD": [1, 2]}))
    assert operator_versions(package, "1", folder) == known
    other = OperatorVersions({"ADD": (1, 2)})
    assert operator_versions(package, "2", folder) == other
    assert operator_versions(package, "1", None) == other


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"ADD": 5}', '{"ADD": [2, 1]}', '{"ADD": ["a", "b"]}', "[" * 9999]
)
def test_a_damaged_file_is_found_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(version_probe, "ask", lambda _package: json.dumps({"ADD": [1, 2]}))
    expected = operator_versions(Package.LITERT, "1", tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert operator_versions(Package.LITERT, "1", tmp_path) == expected
    assert json.loads(file.read_text()) == {"ADD": [1, 2]}


def test_a_folder_that_cannot_be_written_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_probe, "ask", lambda _package: json.dumps({"ADD": [1, 2]}))
    (tmp_path / "file").touch()
    found = operator_versions(Package.LITERT, "1", tmp_path / "file")
    assert found == OperatorVersions({"ADD": (1, 2)})


def test_a_package_that_is_not_there_is_named(real: InterpreterRuntime) -> None:
    missing = Package.TFLITE if real.info().name == "litert" else Package.LITERT
    with pytest.raises(DeviceError, match=rf"{missing.value} cannot be used: ModuleNotFoundError"):
        version_probe.ask(missing)
