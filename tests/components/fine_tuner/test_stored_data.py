"""Examples that lie on disk are learned as the same ones in memory are: to the last bit, and without a copy of all."""

from __future__ import annotations

import random

import pytest
from safetensors.torch import load_file

from furrow.components.events import Evaluated
from furrow.components.fine_tuner.pytorch.engine.cut import cut
from furrow.components.fine_tuner.pytorch.engine.packing import pack
from furrow.components.records import Classified, Example, Judged, Packed, Pair, learned_tokens, longest, total_tokens
from furrow.components.stored.examples import ExampleWriter, StoredExamples
from furrow.components.stored.views import Chained


def sequence(chance, where):
    length = chance.randint(5, 24)
    given = chance.randint(1, length - 2)
    ids = [chance.randrange(1, 300) for _ in range(length)]
    return Example(ids, [False] * given + [True] * (length - given), where)


def pairs(count):
    chance = random.Random(1)
    rows = []
    for number in range(count):
        chosen = sequence(chance, f"rows.jsonl:{number + 1}")
        answer = chosen.learned.index(True)
        other = [*chosen.input_ids[:answer], *(chance.randrange(1, 300) for _ in range(chance.randint(2, 9)))]
        rejected = Example(other, [place >= answer for place in range(len(other))], chosen.where)
        rows.append(Pair(chosen, rejected, chosen.where))
    return rows


def judged(count):
    rows = pairs(count)
    return [
        Judged(row.chosen, number % 3 > 0, row.where, rows[number - 1].rejected._replace(where=row.where))
        for number, row in enumerate(rows)
    ]


def classified(count):
    chance = random.Random(2)
    rows = [sequence(chance, f"rows.jsonl:{number + 1}") for number in range(count)]
    return [
        Classified(row._replace(learned=[False] * len(row.input_ids)), n % 2, row.where) for n, row in enumerate(rows)
    ]


def plain(count):
    chance = random.Random(3)
    return [sequence(chance, f"rows.jsonl:{number + 1}") for number in range(count)]


def stored(folder, rows):
    writer = ExampleWriter(folder)
    writer.extend(rows)
    return writer.finish()


@pytest.mark.parametrize(
    ("rows", "settings"),
    [
        (plain, {}),
        (plain, {"packing": True}),
        (plain, {"objective": "pretrain"}),
        (plain, {"method": {"type": "lora", "r": 4, "dropout": 0.1, "layers_to_transform": [1]}}),
        (pairs, {"objective": "dpo"}),
        (pairs, {"objective": "orpo"}),
        (judged, {"objective": "kto"}),
    ],
    ids=["sft", "packed", "pretrain", "frozen layers", "dpo", "orpo", "kto"],
)
def test_it_is_learned_to_the_bit_as_from_memory(train, steps, tmp_path, rows, settings):
    told, weights = [], []
    for name in ("memory", "disk"):
        learned, measured = rows(24), rows(30)[24:]
        if name == "disk":
            learned, measured = (stored(tmp_path / side, each) for side, each in (("a", learned), ("b", measured)))
        arguments = {"num_train_epochs": 2, "per_device_train_batch_size": 6, "eval_strategy": "epoch"}
        events, folder = train(learned, measured, name=name, **arguments, **settings)
        losses = [(event.loss, event.grad_norm, event.learned_tokens, event.total_tokens) for event in steps(events)]
        told.append([losses, [event.eval_loss for event in events if isinstance(event, Evaluated)]])
        weights.append(load_file(folder / "final_model/adapter_model.safetensors"))
    assert told[0] == told[1] and len(told[0][1]) == 2
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def tokens_of_padded(lengths):
    return len(lengths) * max(lengths)


@pytest.mark.parametrize("tokens_of", [sum, tokens_of_padded])
@pytest.mark.parametrize("rows", [plain, pairs, judged, classified])
def test_it_is_cut_as_in_memory_also_a_second_time(tmp_path, rows, tokens_of):
    rows = rows(40)
    on_disk = stored(tmp_path, rows)
    for batch in (on_disk, Chained(on_disk[:13], on_disk[13:]), Chained(rows[:13], on_disk[13:])):
        pieces, expected = cut(batch, 64, tokens_of), cut(rows, 64, tokens_of)
        assert list(pieces) == list(expected)
        assert [[rows[place] for place in pieces.places(number)] for number in range(len(pieces))] == list(pieces)
        again = pieces.cut_again(len(pieces) - 1, 32, tokens_of)
        assert list(again) == list(expected.cut_again(len(expected) - 1, 32, tokens_of))
        assert sum(map(len, again)) == len(rows) - len(pieces[-1])


@pytest.mark.parametrize("count", [0, 1, 7, 300])
def test_packs_are_those_of_the_best_fit_written_down_plainly(tmp_path, count):
    rows, length = plain(count), 40
    expected: list[list[Example]] = []
    for row in sorted(rows, key=lambda row: -len(row.input_ids)):
        room = [length - sum(len(one.input_ids) for one in members) for members in expected]
        fitting = [number for number, left in enumerate(room) if left >= len(row.input_ids)]
        if not fitting:
            expected.append([])
            fitting, room = [len(expected) - 1], [*room, length]
        expected[min(fitting, key=lambda number: room[number])].append(row)
    packed = [Packed(tuple(members)) for members in expected]
    for packs in (pack(rows, length), pack(stored(tmp_path, rows), length)):
        assert list(packs) == packed and len(packs) == len(packed)
        assert total_tokens(packs) == total_tokens(packed) and learned_tokens(packs) == learned_tokens(packed)
        assert longest(packs) == longest(packed)
        assert list(cut(packs, 64, sum)) == list(cut(packed, 64, sum))


def test_no_more_of_them_is_in_memory_than_a_batch(train, tmp_path, monkeypatch):
    """How many examples are alive at once, counted by what makes them."""
    rows, alive = plain(200), []
    on_disk, small = stored(tmp_path, rows), stored(tmp_path / "small", rows[:30])
    making = StoredExamples.__getitem__

    def counted(self, place):
        found = making(self, place)
        if not isinstance(place, slice):
            alive.append(place)
        return found

    monkeypatch.setattr(StoredExamples, "__getitem__", counted)
    train(on_disk, small, max_steps=2, per_device_train_batch_size=8, eval_strategy="no")
    assert len(alive) == 16
