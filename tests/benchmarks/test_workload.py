import json
from statistics import median

from tokenizers import Tokenizer

from benchmarks.shape import SMOLLM2_135M, TOY, arithmetic
from benchmarks.workload import EOS, lengths, make_rows, padded_tokens, write_rows, write_tokenizer


def test_the_same_rows_come_every_time():
    assert make_rows() == make_rows()


def test_the_rows_are_those_of_the_issue_log_normal_with_about_10800_tokens_and_6000_learned():
    rows = make_rows()
    sizes = [row.tokens for row in rows]
    assert len(rows) == 96
    assert median(sizes) == 75
    assert max(sizes) == 512
    assert 10_600 < sum(sizes) < 11_000
    assert 5_800 < sum(len(row.answer) for row in rows) < 6_200
    assert all(row.prompt and row.answer[-1] == EOS for row in rows)


def test_lengths_are_the_quantiles_of_a_log_normal_distribution():
    # by hand: the quantiles 1/6, 1/2, 5/6 of exp(ln 75 + 0.95 z) have z = -0.9674, 0, 0.9674
    assert lengths(3, longest=512) == [30, 75, 188]


def test_padding_fills_each_micro_batch_up_to_its_longest_row():
    assert padded_tokens([1, 5, 2, 3, 4, 4], batch=2) == 2 * 5 + 2 * 3 + 2 * 4


def test_every_system_gets_the_same_tokens_whether_it_takes_text_or_ids(tmp_path):
    rows = make_rows(12, TOY.vocabulary)
    write_rows(rows, tmp_path)
    write_tokenizer(TOY.vocabulary, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    texts = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    ids = [json.loads(line) for line in (tmp_path / "ids.jsonl").read_text().splitlines()]
    for text, numbers in zip(texts, ids, strict=True):
        prompt, answer = tokenizer.encode(text["input"]).ids, tokenizer.encode(text["output"]).ids
        assert numbers["input_ids"] == [*prompt, *answer, EOS]
        assert numbers["input_ids"] == [*tokenizer.encode(f"{text['input']} {text['output']}").ids, EOS]
        assert numbers["labels"] == [-100] * len(prompt) + [*answer, EOS]


def test_parameters_are_counted_as_transformers_counts_them():
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**TOY.as_config()))
    blocks = sum(weight.numel() for name, weight in model.named_parameters() if ".layers." in name and "proj" in name)
    assert TOY.layers * TOY.block_parameters == blocks
    assert TOY.head_parameters == model.lm_head.weight.numel()


def test_the_floor_of_the_issue_is_23_seconds_at_225_gflops():
    work = arithmetic(SMOLLM2_135M, tokens=10_802, learned=5_987, epochs=1, method="lora")
    assert round(work.total / 225e9) == 23


def test_layers_below_the_adapted_ones_count_once_and_forward_only():
    # by hand: 4 layers of P, one of them adapted, 3 epochs of 10 tokens, 5 learned
    work = arithmetic(TOY, tokens=10, learned=5, epochs=3, method="lora", adapted=1)
    blocks, head = TOY.block_parameters, TOY.head_parameters
    assert work.blocks == 10 * blocks * 4 * 3 + 10 * blocks * 3 * 2
    assert work.head == 5 * head * 4 * 3


def test_training_all_weights_adds_the_gradient_of_every_weight():
    lora = arithmetic(TOY, tokens=10, learned=5, epochs=1, method="lora")
    full = arithmetic(TOY, tokens=10, learned=5, epochs=1, method="full")
    assert full.total * 2 == lora.total * 3
