"""What all pages are made of: text stays text, in elements and in attributes."""

from __future__ import annotations

from xml.etree import ElementTree

from furrow.stages.reporting.markup import document, element, table

EVIL = "\"'><script>x</script>&\x1b[31m"


def test_text_and_attributes_are_escaped_once_and_control_characters_are_gone():
    made = ElementTree.fromstring(element("p", EVIL, element("b", EVIL), title=EVIL, class_="a"))
    shown = EVIL.replace("\x1b", "\N{REPLACEMENT CHARACTER}")
    assert made.text == made.attrib["title"] == made[0].text == shown
    assert made.attrib["class"] == "a" and len(made) == 1


def test_numbers_stand_at_the_right_of_a_table():
    made = ElementTree.fromstring(table(("name", "rows"), [("a", 1), (EVIL, 2.5)]))
    cells = [(cell.text, cell.get("class")) for cell in made.iter("td")]
    assert cells[:2] == [("a", None), ("1", "number")] and cells[3] == ("2.5", "number")


def test_a_page_fetches_and_runs_nothing():
    page = document("T", [element("p", "x")], ".a{}")
    assert (
        "default-src 'none'; style-src 'unsafe-inline'" in page
        and "<script" not in page
        and "http" not in (page.replace("http-equiv", ""))
    )
