"""Values as JSON has them."""

import datetime
import decimal
import json

import numpy as np
import pytest

from furrow.components.dataset_reader.plain_values import as_json
from furrow.components.dataset_reader.strict_json import Refused


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"a": [None, True, 3, 0.5, "é"]}, {"a": [None, True, 3, 0.5, "é"]}),
        ((1, 2), [1, 2]),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(["a"]), ["a"]),
        (decimal.Decimal("1.50"), "1.50"),
        (datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.UTC), "2024-02-29T01:00:00+00:00"),
        (b"caf\xc3\xa9", "café"),
    ],
    ids=repr,
)
def test_what_says_the_same_in_json_is_written_so(value, plain):
    assert as_json(value) == plain == json.loads(json.dumps(as_json(value)))


def endless():
    inner = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (np.float64("nan"), "is NaN"),
        ([float("inf")], "is infinite"),
        (decimal.Decimal("NaN"), "is Decimal"),
        (b"\xff", "no UTF-8 text"),
        (b"a\0", "NUL"),
        ({"a": "\0"}, "NUL"),
        ({1: "a"}, "has the key 1, text is wanted"),
        (object(), "is object, which JSON does not have"),
        (np.timedelta64(1, "D"), "is timedelta"),
        (endless(), "nested too deep"),
    ],
    ids=["nan", "infinity", "decimal", "bytes", "nul_bytes", "nul", "key", "object", "timedelta", "endless"],
)
def test_what_json_cannot_say_is_refused(value, wrong):
    with pytest.raises(Refused, match=wrong):
        as_json(value)
