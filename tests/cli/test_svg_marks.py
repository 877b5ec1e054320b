from xml.etree import ElementTree as ET

from mesh.cli.svg_marks import line, rect, text, titled

HOSTILE = "</text><script>alert('\"1\" & 2')</script>"


def test_words_are_escaped() -> None:
    assert ET.fromstring(text(1, 2, HOSTILE)).text == HOSTILE
    group = ET.fromstring("".join(titled(HOSTILE, [rect("bar", 0, 0, 1, 1)])))
    assert [child.tag for child in group] == ["title", "rect"]
    assert group[0].text == HOSTILE


def test_numbers_are_rounded() -> None:
    assert ET.fromstring(line("rule", (0.123, 1), (2.06, 3))).attrib == {
        "class": "rule",
        "x1": "0.1",
        "y1": "1.0",
        "x2": "2.1",
        "y2": "3.0",
    }


def test_a_bar_never_vanishes() -> None:
    assert float(ET.fromstring(rect("bar", 0, 0, 0.001, 5)).attrib["width"]) > 0
