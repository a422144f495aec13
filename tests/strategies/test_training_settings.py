"""The typed settings of the fine-tuner: defaults that follow from others, other spellings, and contradictions."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
from pydantic import ValidationError

from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.hardware import HardwareConfig
from furrow.components.fine_tuner.pytorch.hardware_checks import check_hardware, devices
from furrow.components.fine_tuner.pytorch.method import LoraMethod
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig
from furrow.components.fine_tuner.pytorch.training_args_elsewhere import NOT_HERE
from furrow.stages.run.request import order_seed_of
from furrow.strategies.moved_keys import ARGUMENTS, MOVED, REWORDED


def fields_of_transformers():
    """The names of TrainingArguments, read from the source: importing it takes many seconds."""
    package = importlib.util.find_spec("transformers")
    assert package and package.origin
    tree = ast.parse((Path(package.origin).parent / "training_args.py").read_text(encoding="utf-8"))
    [found] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "TrainingArguments"]
    return {
        node.target.id for node in found.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_every_name_of_transformers_is_taken_moved_or_refused_with_a_reason():
    taken = set(TrainingArgsConfig.model_fields)
    elsewhere = {path[-1] for path in (*MOVED, *REWORDED) if path[:-1] == ARGUMENTS}
    names = {name for name in fields_of_transformers() if not name.startswith(("_", "framework", "VALID"))}
    assert len(names) > 90
    assert names - taken - elsewhere - set(NOT_HERE) == set()
    assert not taken & set(NOT_HERE)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("a: {}", 2e-4),
        ("a: {method: full}", 5e-5),
        ("a: {method: {type: full}, training_args: {max_steps: 1}}", 5e-5),
        ("a: {method: {r: 4}}", 2e-4),
        ("a: {method: full, training_args: {learning_rate: 3e-3}}", 3e-3),
    ],
)
def test_the_learning_rate_follows_from_the_method(text, rate, load_text):
    assert load_text(text).strategy.fine_tuner.config.training_args.learning_rate == rate


@pytest.mark.parametrize(
    ("written", "alpha"),
    [("{}", 32), ("{r: 4}", 8), ("{r: 64}", 128), ("{r: 8, alpha: 10}", 10), ("{r: 4, alpha: }", 8)],
)
def test_alpha_is_twice_the_rank_unless_it_is_given(written, alpha, load_text):
    assert load_text(f"a: {{method: {written}}}").strategy.fine_tuner.config.method.alpha == alpha


@pytest.mark.parametrize(
    ("written", "modules"),
    [
        ("auto", "all-linear"),
        ("all-linear", "all-linear"),
        ("attention", "attention"),
        ("[q_proj, v_proj]", ("q_proj", "v_proj")),
    ],
)
def test_target_modules_are_a_list_or_a_group(written, modules, load_text):
    config = load_text(f"a: {{method: {{target_modules: {written}}}}}").strategy.fine_tuner.config
    assert config.method.target_modules == modules


@pytest.mark.parametrize("written", ["q_proj", "[]", "[1]", "{q: 1}", "['']"])
def test_other_target_modules_are_refused_once(written, problems):
    [problem] = problems(f"a: {{method: {{target_modules: {written}}}}}")
    assert problem.startswith("s.yaml:1: method.target_modules")


def test_patterns_are_read(load_text):
    config = load_text("a: {method: {rank_pattern: {q_proj: 4}, alpha_pattern: {'.*\\.0\\..*': 2.5}}}")
    assert config.strategy.fine_tuner.config.method.rank_pattern == {"q_proj": 4}
    assert config.strategy.fine_tuner.config.method.alpha_pattern == {".*\\.0\\..*": 2.5}


@pytest.mark.parametrize(
    ("written", "path", "value"),
    [
        ("bf16: true", "hardware.optimization.mixed_precision", "bf16"),
        ("fp16: yes", "hardware.optimization.mixed_precision", "fp16"),
        ("bf16: false, fp16: true", "hardware.optimization.mixed_precision", "fp16"),
        ("bf16: false, fp16: false", "hardware.optimization.mixed_precision", "no"),
        ("use_cpu: true", "hardware.device", "cpu"),
        ("gradient_checkpointing: true", "hardware.optimization.gradient_checkpointing", True),
        ("tf32: true", "hardware.precision.cuda.use_tf32", True),
        ("evaluation_strategy: epoch", "training_args.eval_strategy", "epoch"),
        ("optim: adamw_torch_fused", "training_args.optim", "adamw"),
        ("optim: adamw_torch", "training_args.optim", "adamw"),
        ("optim: adamw_bnb_8bit", "training_args.optim", "adamw_8bit"),
        ("optim: paged_adamw", "training_args.optim", "paged_adamw_32bit"),
        ("optim: paged_adamw_8bit", "training_args.optim", "paged_adamw_8bit"),
        ("metric_for_best_model: loss", "training_args.metric_for_best_model", "eval_loss"),
        ("num_train_epochs: 2", "training_args.num_train_epochs", 2.0),
    ],
)
def test_the_spellings_of_transformers_are_understood(written, path, value, load_text):
    found = load_text(f"a: {{training_args: {{{written}}}}}").strategy.fine_tuner.config
    for step in path.split("."):
        found = getattr(found, step)
    assert found == value


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("tensorboard", ["tensorboard"]),
        ("[tensorboard, wandb]", ["tensorboard", "wandb"]),
        ("comet_ml", ["comet"]),
        ("none", []),
        ("[]", []),
        ("[none]", []),
    ],
)
def test_report_to_names_trackers(written, wanted, load_text):
    text = f"a: {{training_args: {{report_to: {written}, run_name: first, project: p}}}}"
    monitoring = load_text(text).strategy.monitoring
    assert [tracker.type for tracker in monitoring.trackers] == wanted
    assert (monitoring.run_name, monitoring.project) == ("first", "p")


@pytest.mark.parametrize("word", ["bf16", "fp16"])
def test_a_type_that_is_not_wanted_is_refused_where_the_default_might_take_it(word, problems, load_text):
    [problem] = problems(f"a: {{training_args: {{{word}: false}}}}")
    assert problem.startswith(f"s.yaml:1: training_args.{word}: ") and "mixed_precision: no" in problem
    [problem] = problems(f"a: {{optimization: {{mixed_precision: {word}}}, training_args: {{{word}: false}}}}")
    assert "false leaves open" in problem
    text = f"a: {{optimization: {{mixed_precision: no}}, training_args: {{{word}: false}}}}"
    assert load_text(text).strategy.fine_tuner.config.hardware.mixed_precision_on("cuda") == "no"


def test_a_tracker_is_named_once_and_its_server_without_a_password(problems, load_text):
    [problem] = problems("a: {monitoring: {trackers: [wandb, {type: wandb, offline: true}]}}")
    assert "wandb is named twice" in problem
    for address in ("https://me:hunter2@host", "postgresql://me:hunter2@host/db", "https://me@host"):
        [problem] = problems(f"a: {{monitoring: {{trackers: [{{type: mlflow, tracking_uri: '{address}'}}]}}}}")
        assert "MLFLOW_TRACKING_USERNAME" in problem and "hunter2" not in problem
    for address in ("https://host:5000", "sqlite:///a@b.db"):
        assert load_text(f"a: {{monitoring: {{trackers: [{{type: mlflow, tracking_uri: '{address}'}}]}}}}")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("objective: pretrain, data_preprocessing: {max_input_length: 9, max_output_length: 9}", 2),
        ("objective: classification, data_preprocessing: {max_input_length: 9, max_output_length: 9}", 2),
        ("objective: classification, generation: {temperature: 1}, monitoring: {samples: {prompts: 2}}", 2),
        ("objective: reward, generation: {temperature: 1}, monitoring: {samples: {prompts: 2}}", 2),
        ("training_args: {eval_strategy: no, eval_steps: 7, save_strategy: epoch, save_steps: 7}", 2),
        ("training_args: {eval_strategy: steps, eval_steps: 7, save_steps: 7}", 0),
        ("objective: reward, data_preprocessing: {max_input_length: 9}", 0),
    ],
)
def test_keys_that_change_nothing_beside_others_are_said(text, keys, load_text, said):
    assert sum("has no effect" in message for message in said(load_text(f"a: {{{text}}}"))) == keys


def test_keys_that_change_nothing_beside_trl_are_said(load_text, said):
    text = """
        a:
          components:
            fine_tuner:
              type: trl
              config:
                base_model: builtin:seedling
                reward: {function: length, config: {words: 5}}
                training_args: {max_steps: 3, num_train_epochs: 2, warmup_steps: 1, warmup_ratio: 0.5, save_steps: 5}
          data_preprocessing: {seed: 0}
          monitoring: {samples: {prompts: 2}}
    """
    loaded = load_text(text)
    assert order_seed_of(loaded.strategy) == 42  # which the manifest says
    messages = "\n".join(said(loaded))
    assert messages.count("has no effect") == len(messages.splitlines()) == 4
    for key in ("data_preprocessing.seed", "monitoring.samples", "num_train_epochs", "warmup_ratio"):
        assert f"{key} has no effect" in messages


@pytest.mark.parametrize("objective", ["classification", "reward"])
@pytest.mark.parametrize("app", ["llama_cpp", "ollama"])
def test_an_app_that_writes_cannot_serve_a_model_that_scores(objective, app, problems):
    [problem] = problems(f"a: {{objective: {objective}, components: {{model_app: {{type: {app}}}}}}}")
    assert problem.startswith("s.yaml:1: components.model_app.type: ") and "use transformers" in problem


def test_a_tracker_that_does_not_exist_is_answered_with_the_nearest_name(problems):
    assert "did you mean 'wandb'" in problems("a: {training_args: {report_to: wand}}")[0]
    assert "as monitoring.trackers" in problems("a: {training_args: {report_to: all}}")[0]
    assert "trackers: [wandb]" in problems("a: {monitoring: {log_wandb: true}}")[0]


@pytest.mark.parametrize(
    "text",
    [
        "training_args: {load_best_model_at_end: true}",
        "training_args: {eval_strategy: steps, load_best_model_at_end: true, greater_is_better: true}",
        "hardware: {device: cuda, precision: {cuda: {use_bf16: false}}, optimization: {mixed_precision: bf16}}",
        "hardware: {precision: {cuda: {use_bf16: true, use_fp16: true}}}",
        "training_args: {early_stopping: {patience: 2}}",
        "training_args: {eval_strategy: steps, early_stopping: {patience: 0}}",
        "training_args: {optim: muon}",
        "training_args: {lr_scheduler_kwargs: {num_cycles: 2}}",
        "training_args: {warmup_ratio: 1.5}",
        "training_args: {num_train_epochs: 0}",
        "training_args: {per_device_train_batch_size: 0}",
    ],
)
def test_contradictions_and_impossible_values_are_refused(text, problems):
    assert len(problems(f"a: {{{text}}}")) == 1


def test_warm_up_in_two_words_and_length_in_two_words_are_warned_about(load_text, said):
    messages = said(
        load_text("a: {training_args: {warmup_steps: 5, warmup_ratio: 0.1, max_steps: 9, num_train_epochs: 2}}")
    )
    assert any("warmup_ratio has no effect: warmup_steps is 5" in message for message in messages)
    assert any("num_train_epochs has no effect: max_steps is 9" in message for message in messages)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("optim: sgd, adam_beta1: 0.8", "adam_beta1 has no effect: optim is sgd; it belongs to adamw"),
        ("optim: adafactor, adam_epsilon: 1e-6", "adam_epsilon has no effect: optim is adafactor"),
        ("optim: adamw, momentum: 0.9", "momentum has no effect: optim is adamw; it belongs to sgd, muon"),
        ("lr_scheduler_type: constant, warmup_steps: 3", "warmup_steps has no effect: lr_scheduler_type is constant"),
        (
            "lr_scheduler_type: warmup_stable_decay, decay_ratio: 0.5, decay_steps: 7",
            "decay_ratio has no effect: decay_steps is 7, and wins",
        ),
        ("eval_strategy: epoch, metric_for_best_model: perplexity", "metric_for_best_model has no effect: load_best_m"),
        ("eval_strategy: epoch, greater_is_better: false", "greater_is_better has no effect: load_best_model_at_end"),
    ],
)
def test_a_setting_that_others_leave_without_effect_is_warned_about(written, message, load_text, said):
    assert [shown for shown in said(load_text(f"a: {{training_args: {{{written}}}}}")) if message in shown]
    assert not [shown for shown in said(load_text("a: {training_args: {optim: lion}}")) if "no effect" in shown]


def test_the_type_of_frozen_weights_is_said_to_be_idle_where_none_is_frozen(load_text, said):
    def about(method):
        text = f"a: {{base_model: {{builtin: seedling, torch_dtype: bfloat16}}, method: {method}}}"
        return [shown for shown in said(load_text(text)) if "torch_dtype has no effect: method is full" in shown]

    assert about("full") and not about("lora")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("early_stopping: true, early_stopping_patience: 5, early_stopping_threshold: 0.01", (5, 0.01)),
        ("early_stopping_patience: 5", (5, 0.0)),
        ("early_stopping: {patience: 2, threshold: 0.5}", (2, 0.5)),
        ("early_stopping: true", (3, 0.0)),
        ("early_stopping: false", None),
        ("early_stopping: false, early_stopping_patience: 3", None),
    ],
)
def test_early_stopping_is_understood_as_the_guides_write_it(written, wanted, load_text):
    loaded = load_text(f"a: {{training_args: {{eval_strategy: steps, {written}}}}}")
    found = loaded.strategy.fine_tuner.config.training_args.early_stopping
    assert (None if found is None else (found.patience, found.threshold)) == wanted


def test_an_evaluation_with_nothing_to_evaluate_on_is_warned_about(load_text, said):
    loaded = load_text("a: {training_args: {eval_strategy: steps}, dataset: {eval_split: 0}}")
    assert any("nothing to evaluate on" in message for message in said(loaded))
    loaded = load_text("a: {training_args: {eval_strategy: steps}}")
    assert loaded.strategy.dataset.eval_split == 0.1
    loaded = load_text("a: {training_args: {eval_strategy: steps}}", ["dataset.eval_file=e.jsonl"])
    assert loaded.strategy.dataset.eval_split == 0


@pytest.mark.parametrize(
    ("hardware", "device", "precision"),
    [
        ("{}", "cuda", "auto"),
        ('{"optimization": {"mixed_precision": "no"}, "precision": {"cuda": {"use_bf16": true}}}', "cuda", "no"),
        ('{"precision": {"cuda": {"use_bf16": true, "use_fp16": false}}}', "cuda", "bf16"),
        ('{"precision": {"cuda": {"use_fp16": true, "use_bf16": false}}}', "cuda", "fp16"),
        ('{"precision": {"cuda": {"use_fp16": true}}}', "cpu", "auto"),
        ('{"precision": {"mps": {"use_fp16": false, "use_bf16": false}}}', "mps", "no"),
        ('{"precision": {"cpu": {"use_fp16": false}}}', "cpu", "auto"),
    ],
)
def test_the_precision_on_a_device_is_what_is_asked_for_there(hardware, device, precision):
    assert HardwareConfig.model_validate_json(hardware).mixed_precision_on(device) == precision


def test_a_device_that_is_not_there_fails_the_check_and_names_what_is():
    def config(device, memory):
        return PyTorchConfig.model_validate_json(f'{{"hardware": {{"device": "{device}", "memory_gb": {memory}}}}}')

    assert "cpu" in list(devices())
    absent = next(name for name in ("mps", "cuda") if name not in devices())
    failed = [check for check in check_hardware(config(absent, 1)) if check.status == "failed"]
    assert "cpu" in failed[0].remedy
    [device, memory] = check_hardware(config("cpu", 1e9))
    assert (device.status, memory.status) == ("passed", "warning")


def test_configs_are_closed_and_frozen():
    with pytest.raises(ValidationError):
        LoraMethod.model_validate_json('{"rank": 4}')
    with pytest.raises(ValidationError):
        LoraMethod().r = 5


def test_a_length_that_is_laid_over_another_one_is_not_warned_about(load_text, said):
    both = "a: {training_args: {max_steps: 9, num_train_epochs: 2}}"
    epochs = "a: {training_args: {num_train_epochs: 2}}"
    laid_over = [
        load_text(epochs, ["training_args.max_steps=9"]),
        load_text("b: {extends: demo_almanac, training_args: {max_steps: 9}}"),
    ]
    assert load_text("a: {extends: demo_almanac}").strategy.fine_tuner.config.training_args.num_train_epochs != 3
    set_both = load_text("a: {}", ["training_args.max_steps=9", "training_args.num_train_epochs=2"])
    for loaded in (load_text(both), set_both):
        assert any("num_train_epochs has no effect" in message for message in said(loaded))
    for loaded in laid_over:
        assert not any("num_train_epochs" in message for message in said(loaded))
