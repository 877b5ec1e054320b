"""Plain text is plain, fits its width, and loses nothing but what is cut short on purpose."""

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from mesh.cli.canvas import Canvas, Column, clip, labelled, paragraph, table

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)
COLUMNS = (
    Column(title="NAME", flexible=True),
    Column(title="SENTENCE", wraps=True),
    Column(title="N", is_number=True),
)


@given(st.lists(st.tuples(PRINTABLE, PRINTABLE), max_size=4), st.integers(60, 120))
def test_lines_fit(rows: list[tuple[str, str]], width: int) -> None:
    parts = [
        table(COLUMNS, [(a, b, "1") for a, b in rows], indent=2),
        labelled(rows, indent=2),
        *(paragraph(a) for a, _ in rows),
    ]
    wide = [row for row in rows if len(row[0]) > 50]
    text = Canvas(width=width).draw(parts if not wide else parts[::2])
    assert max(map(len, text.split("\n"))) <= width
    assert "\x1b" not in text


def test_a_table_as_it_looks() -> None:
    rows = [("alpha", "short", "1"), ("beta", "a longer sentence " * 4, "12")]
    assert Canvas(width=40).draw([table(COLUMNS, rows)]) == (
        "NAME   SENTENCE                        N\n"
        "alpha  short                           1\n"
        "beta   a longer sentence a longer     12\n"
        "       sentence a longer sentence a\n"
        "       longer sentence"
    )


def test_markup_is_text() -> None:
    assert Canvas().draw([paragraph("[red]x[/red] :smile: [link=a]b")]) == (
        "[red]x[/red] :smile: [link=a]b"
    )


def test_styles_and_colours() -> None:
    parts = [Text("x", style="red"), Text("y", style="bold")]
    assert (
        Canvas(is_styled=True, has_colour=True).draw(parts) == "\x1b[31mx\x1b[0m\n\x1b[1my\x1b[0m"
    )
    assert "\x1b[31m" not in Canvas(is_styled=True, has_colour=False).draw(parts)
    assert "\x1b[1m" in Canvas(is_styled=True, has_colour=False).draw(parts)
    assert Canvas().draw(parts) == "x\ny"


@given(st.floats(-1, 2), st.integers(1, 40))
def test_bars(share: float, cells: int) -> None:
    bar = Canvas().bar(share, cells).plain
    assert len(bar) == cells
    assert bar == "#" * bar.count("#") + "." * bar.count(".")
    assert ("#" in bar) == (share > 0)
    assert len(Canvas(is_styled=True).bar(share, cells).plain) == cells


def test_clip() -> None:
    assert (clip("abcd", 4), clip("abcde", 4)) == ("abcd", "abc…")
