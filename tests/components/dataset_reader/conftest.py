import pytest

from furrow.components.registry import factory, find


@pytest.fixture
def read(tmp_path):
    """Writes the bytes to a file and reads it with the reader of that type: [(line, columns)]."""

    def read(kind, data, **settings):
        path = tmp_path / "data"
        path.write_bytes(data)
        component = find("dataset_reader", kind)
        reader = factory(component)(component.config(**settings))
        return [(int(row.where.removeprefix(f"{path}:")), dict(row.columns)) for row in reader.read(path)]

    return read
