"""Plain text and Markdown: documents, paragraphs or lines, of one file or of a folder."""

import gzip

import pytest

from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.text_files import TextConfig, TextFiles
from furrow.components.errors import RequestError

PAGE = b"\xef\xbb\xbf\r\n# Seeds\r\n\r\nSow them\r\n  in spring.\r\n \t\r\n\r\nWater them.\r\n"


def read(path, **config):
    return [
        (row.where.removeprefix(f"{path}").lstrip("/"), row if isinstance(row, BadRow) else row.columns["text"])
        for row in TextFiles(TextConfig(**config)).read(path)
    ]


@pytest.mark.parametrize(
    ("row", "rows"),
    [
        ("document", [(":2", "# Seeds\n\nSow them\n  in spring.\n \t\n\nWater them.")]),
        ("paragraph", [(":2", "# Seeds"), (":4", "Sow them\n  in spring."), (":8", "Water them.")]),
        ("line", [(":2", "# Seeds"), (":4", "Sow them"), (":5", "  in spring."), (":8", "Water them.")]),
    ],
)
def test_a_row_is_a_document_a_paragraph_or_a_line_and_says_where_it_begins(tmp_path, row, rows):
    path = tmp_path / "page.md"
    path.write_bytes(PAGE)
    assert read(path, row=row) == rows


def test_a_folder_is_read_in_the_order_of_its_names_without_what_is_hidden(tmp_path):
    for name in ("b.md", "a/z.txt", "a/b.txt.gz", "c.markdown", "d.rst", ".git/x.md", ".hidden.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(name.encode()) if name.endswith(".gz") else name.encode())
    assert [text for _, text in read(tmp_path)] == ["a/b.txt.gz", "a/z.txt", "b.md", "c.markdown"]


def test_a_file_of_a_folder_that_is_no_text_is_a_bad_row_and_the_others_are_read(tmp_path):
    for name, data in (
        ("a.txt", b"a"),
        ("b.txt", b"caf\xe9"),
        ("c.txt", b""),
        ("d.txt", b" \n"),
        ("e.txt", b"%PDF-1.7"),
    ):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "f.txt").write_bytes(b"f\ncaf\xe9")
    (where, text), *bad = read(tmp_path)
    assert (where, text) == ("a.txt:1", "a")
    assert [(where, row.what.partition(";")[0]) for where, row in bad] == [
        ("b.txt:1", "byte 0xE9 at column 4 is not UTF-8"),
        ("c.txt:1", "the file is empty"),
        ("d.txt", "the file holds no text"),
        ("e.txt:1", "the file is a PDF document"),
        ("f.txt:2", "byte 0xE9 at column 4 is not UTF-8"),
    ]


def test_a_line_that_is_not_utf8_is_a_bad_row_where_lines_or_paragraphs_are_rows(tmp_path):
    path = tmp_path / "page.txt"
    path.write_bytes(b"a\n\ncaf\xe9\n\nb\n")
    for row in ("line", "paragraph"):
        assert [text if isinstance(text, str) else text.where for _, text in read(path, row=row)] == [
            "a", f"{path}:3", "b",
        ]  # fmt: skip
    with pytest.raises(RequestError, match=r"page\.txt:3: byte 0xE9"):
        read(path)


def test_a_document_over_the_bound_is_refused_with_what_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr("furrow.components.dataset_reader.text_files.LONGEST", 1 << 20)
    path = tmp_path / "page.txt"
    path.write_bytes((b"x" * 99 + b"\n") * 20_000)
    with pytest.raises(RequestError, match=r"page.txt:1: the document is longer than 1 MiB\n.*row: paragraph"):
        read(path)
    assert len(read(path, row="line")) == 20_000


def test_a_folder_without_text_and_a_missing_file_are_refused(tmp_path):
    for path, wrong in ((tmp_path, "no file with .txt, .md"), (tmp_path / "none.txt", "there is no file")):
        with pytest.raises(RequestError, match=wrong):
            read(path)


def test_what_is_beside_the_data_by_its_name_is_not_read(tmp_path):
    for name in ("a.md", "_draft.md", "_build/b.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [text for _, text in read(tmp_path)] == ["a.md"]
