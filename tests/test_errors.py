import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from mesh import errors
from mesh.errors import MeshError

LINE = re.compile(
    r"(?P<depth>[│├└─ ]*)(?P<name>\w+Error)\s*"
    r"(?P<code>[A-Z]{2,}[A-Z_]*)?\s*(?P<status>\d+)?\s*(?P<words>.*)"
)

# A group carries the code of the plainest of its members, for errors that are no more than that.
GROUPS_WITH_A_MEMBERS_CODE = {"ModelError", "RequestError", "RuntimeFailureError", "SessionError"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the tree; code and status are None where the line leaves them out."""

    name: str
    parents: tuple[str, ...]
    code: str | None
    exit_status: int | None
    words: str


def printed_tree() -> list[Row]:
    rows: list[Row] = []
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            continue
        path = [*path[: len(match["depth"]) // 4], match["name"]]
        rows.append(
            Row(
                name=match["name"],
                parents=tuple(path[:-1]),
                code=match["code"],
                exit_status=int(match["status"]) if match["status"] else None,
                words=match["words"],
            )
        )
    return rows


def descend(kind: type[MeshError], parents: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Each class as the path from the base, in the order of definition."""
    yield (*parents, kind.__name__)
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from descend(child, (*parents, kind.__name__))


def class_of(name: str) -> type[MeshError]:
    found = getattr(errors, name)
    assert isinstance(found, type)
    assert issubclass(found, MeshError)
    return found


def test_the_printed_tree_is_the_tree_of_classes() -> None:
    printed = [(*row.parents, row.name) for row in printed_tree()]
    assert printed == list(descend(MeshError))


def test_the_printed_codes_and_exit_statuses_are_those_of_the_classes() -> None:
    for row in printed_tree():
        kind = class_of(row.name)
        if row.code is not None:
            assert kind.code == row.code, row.name
        if row.exit_status is not None:
            assert kind.exit_status == row.exit_status, row.name


def test_every_error_that_is_no_group_has_its_code_printed() -> None:
    for row in printed_tree():
        if not class_of(row.name).__subclasses__():
            assert row.code is not None, row.name


def test_an_exit_status_holds_for_a_whole_group() -> None:
    for row in printed_tree():
        if len(row.parents) > 1:
            assert class_of(row.name).exit_status == class_of(row.parents[1]).exit_status, row.name


def test_the_tree_says_what_is_retryable() -> None:
    rows = printed_tree()
    said = {row.name for row in rows if "retryable" in row.words}
    for row in rows:
        expected = bool({row.name, *row.parents} & said)
        assert class_of(row.name).retryable is expected, row.name


def test_codes_are_unique_but_for_groups() -> None:
    counted = Counter(
        class_of(path[-1]).code
        for path in descend(MeshError)
        if path[-1] not in GROUPS_WITH_A_MEMBERS_CODE
    )
    assert {code for code, times in counted.items() if times > 1} == set()
    for group in GROUPS_WITH_A_MEMBERS_CODE:
        assert class_of(group).code in {one.code for one in class_of(group).__subclasses__()}


def test_top_level_exit_statuses_are_unique() -> None:
    statuses = [class_of(row.name).exit_status for row in printed_tree() if len(row.parents) == 1]
    assert len(set(statuses)) == len(statuses)
    assert MeshError.exit_status not in statuses
