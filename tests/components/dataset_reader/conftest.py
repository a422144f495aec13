import pytest

from furrow.components.dataset_reader import BadRow
from furrow.components.registry import factory, find


def good(rows):
    """The rows, as long as all are; a bad one is raised, as a run does where bad rows end it."""
    for row in rows:
        if isinstance(row, BadRow):
            raise row.error()
        yield row


@pytest.fixture
def read(tmp_path):
    """Writes the bytes to a file and reads it with the reader of that type: [(line, columns)]."""

    def read(kind, data, **settings):
        path = tmp_path / "data"
        path.write_bytes(data)
        component = find("dataset_reader", kind)
        reader = factory(component)(component.config(**settings))
        rows = list(good(reader.read(path)))
        return [(int(row.where.removeprefix(f"{path}:")), dict(row.columns)) for row in rows]

    return read
