"""Classification against transformers' own classifier, in value, gradient and counts."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objectives.classification import Classification, confusion_counts
from furrow.components.fine_tuner.pytorch.objectives.last_token import head_logits, make_ready
from furrow.components.records import Classified

CLASSES = 3


@pytest.fixture
def classifier(tiny_model):
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=CLASSES, dtype=torch.float32)
    make_ready(model, AutoTokenizer.from_pretrained(tiny_model))
    return model.train()


@pytest.fixture
def rows(examples):
    """12 texts of 5 to 24 tokens; one ends with the padding token, which is this model's end token too."""
    made = [Classified(one._replace(learned=[False] * len(one.input_ids)), n % CLASSES, one.where) for n, one in
            enumerate(examples[:12])]  # fmt: skip
    last = made[-1].example
    ended = last._replace(input_ids=[*last.input_ids, 0], learned=[*last.learned, False])
    return [*made[:-1], made[-1]._replace(example=ended)]


def padded(rows):
    longest = max(len(row.example.input_ids) for row in rows)
    ids = torch.tensor([row.example.input_ids + [0] * (longest - len(row.example.input_ids)) for row in rows])
    mask = torch.tensor(
        [[1] * len(row.example.input_ids) + [0] * (longest - len(row.example.input_ids)) for row in rows]
    )
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row.label for row in rows])}


def gradients(model):
    found = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("cut", [1, 5, 12])
def test_loss_and_gradients_are_those_of_transformers_on_a_padded_batch_however_the_batch_is_cut(classifier, rows, cut):
    reference = classifier(**padded(rows))
    reference.loss.backward()
    expected = gradients(classifier)
    objective, forward = Classification(), Forward(classifier, pad_id=0, longest=32)
    context = objective.context(rows, forward)
    shares = [objective.share(rows[at : at + cut], forward, context) for at in range(0, len(rows), cut)]
    total = sum(share.loss for share in shares)
    total.backward()
    assert total.item() == pytest.approx(reference.loss.item(), abs=1e-5)
    found = gradients(classifier)
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)
    confusion = sum(share.sums["confusion"] for share in shares)
    right = (reference.logits.argmax(1) == padded(rows)["labels"]).sum()
    assert confusion.sum() == len(rows) and confusion.diagonal().sum() == right


def test_every_row_has_zeros_of_its_own_be_it_trimmed_or_not(classifier, rows, monkeypatch):
    """A text with padding at its end is another object when it goes through the model."""
    forward, places = Forward(classifier, pad_id=0, longest=32), []
    whole, ended = rows[0].example, rows[-1].example
    forward.seeds.begin(7, {id(row.example): place for place, row in enumerate(rows)})
    decode = forward.decode

    def noted(layout):
        places.append([forward.seeds._place(sequence) for sequence, _, _ in layout.pieces])
        return decode(layout)

    monkeypatch.setattr(forward, "decode", noted)
    head_logits(forward, [(whole,), (ended,)])
    assert places == [[0, 11]]


def test_rows_of_the_counts_are_classes_and_columns_what_they_were_taken_for():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0], [0.0, 5.0, 3.0], [0.0, 9.0, 3.0]])
    counts = confusion_counts(logits, torch.tensor([0, 0, 1, 2]))
    assert counts.tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]
    assert Classification().metrics({"confusion": counts}) == pytest.approx({"accuracy": 0.5, "f1": (2 / 3 * 2) / 3})


def test_the_head_learns_in_float32_whatever_the_model_is_computed_in(tiny_model, rows):
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=CLASSES, dtype=torch.bfloat16)
    make_ready(model, AutoTokenizer.from_pretrained(tiny_model))
    objective, forward = Classification(), Forward(model, pad_id=0, longest=32)
    share = objective.share(rows, forward, len(rows))
    share.loss.backward()
    assert share.loss.dtype == model.score.weight.dtype == model.score.weight.grad.dtype == torch.float32
