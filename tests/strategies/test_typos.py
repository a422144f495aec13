"""Mistyped and foreign keys are refused with their line and the key that was meant, all of them at once."""

from __future__ import annotations

import pytest

TYPOS = {
    "learning_rte": ("training_args", "'learning_rate'"),
    "num_train_epoch": ("training_args", "'num_train_epochs'"),
    "gradient_acumulation_steps": ("training_args", "'gradient_accumulation_steps'"),
    "eval_startegy": ("training_args", "'eval_strategy'"),
    "epochs": ("training_args", "'num_train_epochs'"),
    "lr": ("training_args", "'learning_rate'"),
    "batch_size": ("training_args", "'per_device_train_batch_size'"),
    "micro_batch_size": ("training_args", "'per_device_train_batch_size'"),
    "max_tokens_new": ("training_args", "'max_new_tokens'"),
    "lora_r": ("method", "'r'"),
    "lora_alpha": ("method", "'alpha'"),
    "dropuot": ("method", "'dropout'"),
    "target_module": ("method", "'target_modules'"),
    "learning_rate": ("method", "'components.fine_tuner.config.training_args.learning_rate'"),
    "to_olama": ("export", "'to_ollama'"),
    "quantize": ("export", "'quantization'"),
    "trainfile": ("dataset", "'train_file'"),
    "val_set_size": ("dataset", "'eval_split'"),
    "remove_duplicate": ("data_preprocessing", "'remove_duplicates'"),
    "temprature": ("generation", "'temperature'"),
    "stop": ("prompt_template", "'stop_sequences'"),
    "tensorboard": ("monitoring", "'log_tensorboard'"),
    "mixed_precison": ("optimization", "'mixed_precision'"),
    "gradient_accumulation_step": ("optimization", "'gradient_accumulation_steps'"),
    "devise": ("hardware", "'device'"),
    "hugginface_id": ("base_model", "'huggingface_id'"),
}


@pytest.mark.parametrize(("typo", "block", "meant"), [(typo, *rest) for typo, rest in TYPOS.items()])
def test_a_typo_is_answered_with_its_line_and_what_was_meant(typo, block, meant, problems):
    found = problems(f"a:\n  name: A\n  {block}:\n    {typo}: 1\n")
    assert any(line.startswith(f"s.yaml:4: {block}.{typo}: is not known; did you mean {meant}? ") for line in found), (
        found
    )


def test_a_block_with_a_typo_is_answered_too(problems):
    [problem] = problems("a:\n  trainig_args:\n    max_steps: 1\n")
    assert problem.startswith("s.yaml:2: trainig_args: is not known; did you mean 'training_args'? ")


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(problems):
    found = problems("""
        a:
          training_args:
            learning_rte: 1e-4
            num_train_epochs: 5-10
            max_grad_norm: -1
          method:
            type: vera
          dataset:
            eval_split: 0.9
          export:
            quantization: q4km
          components:
            model_app: {type: olama}
    """)
    assert [line.split(": ")[:2] for line in found] == [
        ["s.yaml:3", "training_args.learning_rte"],
        ["s.yaml:4", "training_args.num_train_epochs"],
        ["s.yaml:5", "training_args.max_grad_norm"],
        ["s.yaml:7", "method.type"],
        ["s.yaml:9", "dataset.eval_split"],
        ["s.yaml:11", "export.quantization"],
        ["s.yaml:13", "components.model_app.type"],
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("method: {type: vera}", "method.type: the method 'vera' is not there yet; there is: lora, full, qlora, dora"),
        (
            "method: {type: lroa}",
            "method.type: there is no method 'lroa'; did you mean 'lora'? allowed: lora, full",
        ),
        (
            "method: {type: full, r: 4}",
            "method.r: is not there: every weight learns; leave it out, or",
        ),
        ("training_args: {eval_strategy: step}", "training_args.eval_strategy: got 'step'; did you mean 'steps'? "),
        ("training_args: {max_steps: 1.5}", "training_args.max_steps: a whole number is wanted, got a number 1.5"),
        ("training_args: {learning_rate: '2e-4'}", "a number is wanted, got text '2e-4'; leave the quotes out"),
        ("training_args: {seed: true}", "training_args.seed: a whole number is wanted, got true"),
        ("training_args: {learning_rate: .inf}", "training_args.learning_rate: a finite number is wanted"),
        ("training_args: {learning_rate: -.inf}", "training_args.learning_rate: "),
        ("training_args: {deepspeed: x.json}", "training_args.deepspeed: is not there: training runs on one device"),
        ("training_args: {optim: adamw_8bits}", "training_args.optim: got 'adamw_8bits'; did you mean 'adamw_8bit'? "),
        (
            "training_args: {lr_scheduler_type: cosin}",
            "training_args.lr_scheduler_type: got 'cosin'; did you mean 'cosine'? ",
        ),
        ("training_args: {lr_end: 0.0}", "training_args.lr_end: is not known; did you mean 'min_lr'? "),
        ("training_args: {lr_scheduler_kwargs: {}}", "is not there: say num_cycles, min_lr (lr_end), power"),
        ("training_args: [1]", "training_args: a mapping is wanted, got a list [1]"),
        ("name: no", "name: text is wanted, got false; put it in quotes"),
        ("dataset: {train_file: 5}", "dataset.train_file: text is wanted, got a whole number 5; put it in quotes"),
        ("prompt_template: {type: format}", "prompt_template.format: is missing"),
        ("prompt_template: {format: '{input.x} {output}'}", "'{input.x}' is not the name of a column"),
        ("prompt_template: {stop_sequences: ['']}", "prompt_template.stop_sequences[0]: must not be empty"),
        ("export: {quantization: q4km}", "there is no number type 'q4km'; did you mean 'q4_k_m'? "),
        ("base_model: {builtin: seedlin}", "there is no built-in model 'seedlin'; did you mean 'seedling'? "),
        ("base_model: {path: x, builtin: seedling}", "exactly one of builtin, path, huggingface_id is wanted"),
        ("dataset: {splitter: {type: randm}}", "dataset.splitter.type: there is no dataset_splitter of type 'randm'; "),
        ("dataset: {splitter: {type: random, sed: 1}}", "dataset.splitter.sed: is not known; did you mean 'seed'? "),
        ("components: {exporter: {}}", "components.exporter: is not known; "),
        ("components: {model_app: {type: ollama, modle: x}}", "did you mean 'components.model_app.config.model'? "),
        ("key: b", "key: is not known; "),
        ("extend: b", "extend: is not known; "),
        ("method: {r: 4}\n  components: {fine_tuner: {config: {method: {r: 8}}}}", "method: given twice"),
        ("export: {to_gguf_adapter: true}\n  method: full", "there is no adapter; say to_gguf"),
    ],
)
def test_what_is_wrong_is_said_in_words(text, what, problems):
    [problem] = problems(f"a:\n  {text}\n")
    assert problem.startswith("s.yaml:2: ")
    assert what in problem


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("monitoring.samples=false", "a mapping is wanted, got false"),
        ("training_args.on_nonfinite=true", "stop, skip, rollback, or a mapping such as {action: rollback"),
        ("training_args.on_nonfinite=skp", "got 'skp'; did you mean 'skip'? "),
    ],
)
def test_a_word_for_a_block_is_answered_with_what_is_allowed(override, what, problems):
    [problem] = problems("a: {}", [override])
    assert what in problem


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("data_preprocessing: {remove_duplicates: fuzzy}", "got 'fuzzy'; allowed: true, false, exact, near"),
        ("data_preprocessing: {remove_duplicates: exat}", "got 'exat'; did you mean 'exact'? allowed: true, false, "),
        ("dataset: {on_bad_row: skp}", "got 'skp'; did you mean 'skip'? allowed: stop, fail, skip"),
        ("dataset: {on_bad_row: warn}", "allowed: stop, fail, skip; `warn` is a word of dataset.on_faulty_data"),
        (
            "dataset: {splitter: {type: random, by: crop}}",
            "belongs to the types stratified, grouped, hash, time, file, ",
        ),
    ],
)
def test_all_that_is_allowed_is_named(written, said, problems):
    [problem] = problems(f"a: {{{written}}}")
    assert said in problem


def test_a_faulty_template_file_is_refused_by_its_line(problems, tmp_path):
    (tmp_path / "t.jinja").write_text("{{ messages }}\n{% for m in messages %}\n{{ m | nosuch }}{% endfor %}")
    [problem] = problems("a: {prompt_template: {type: jinja, file: t.jinja}}")
    assert problem == "s.yaml:1: prompt_template: t.jinja:3: No filter named 'nosuch'."
