"""Policy optimisation: TRL's own trainers, a tiny model, and rewards that rise."""

from __future__ import annotations

import json
import re
import signal
import statistics
import sys

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from pydantic import ValidationError
from safetensors.torch import load_file
from tokenizers import processors
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
)

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import (
    CheckpointSaved,
    Evaluated,
    Sampled,
    StepEnded,
    TrainingEnded,
    TrainingStarted,
    Warned,
)
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.trl import fine_tuner
from furrow.components.fine_tuner.trl.component import COMPONENT, TrlConfig
from furrow.components.fine_tuner.trl.fine_tuner import TrlFineTuner
from furrow.components.fine_tuner.trl.prompts import Prompts
from furrow.components.fine_tuner.trl.reward_model import RewardModel
from furrow.components.fine_tuner.trl.rewards import reward_folder
from furrow.components.interruption import Interrupted, StopRequest
from furrow.components.records import END, Example, Segment
from furrow.components.registry import factory
from furrow.components.tokens import end_token_id, prompt_ids, segment_ids
from furrow.strategies.files import load_all

QUESTIONS = ["what is a carrot?", "the lazy dog", "jumps over", "Question: the garden"]


@pytest.fixture(scope="module")
def policy(tiny_model, tmp_path_factory):
    """The tiny model with larger embeddings: those of a fresh model are so small that no hidden state whatever makes
    one token much likelier than another."""
    folder = tmp_path_factory.mktemp("policy")
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(8)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


def rows(tokenizer):
    end = end_token_id(tokenizer, None)
    segments = [[Segment(f"{question} Answer:"), Segment(" a root", True), END] for question in QUESTIONS]
    return [Example(*segment_ids(tokenizer, each, end), f"rows.jsonl:{n}") for n, each in enumerate(segments, 1)]


@pytest.fixture
def train(policy, tmp_path):
    """`train(reward=…, …)` runs, and returns (events, run folder, fine-tuner)."""

    def run(*, model=policy, evaluation=False, more=(), order_seed=1, name="run", stop_at=None, **settings):
        settings = {
            "base_model": {"path": str(model)},
            "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
            "algorithm": {"num_generations": 8, "max_completion_length": 6},
            "reward": {"function": "contains", "config": {"texts": ["e"]}},
            **settings,
        }
        settings["training_args"] = {"max_steps": 2, "save_strategy": "no", **settings.get("training_args", {})}
        tuner = factory(COMPONENT)(TrlConfig.model_validate_json(json.dumps(settings)))
        tuner.verify()
        examples, events, folder = [*rows(tuner.tokenizer), *more], [], tmp_path / name
        stop = StopRequest()

        def listen(event):
            events.append(event)
            if isinstance(event, StepEnded) and event.step == stop_at:
                stop.ask(signal.SIGTERM)

        request = TrainingRequest(
            stop=stop,
            train=examples,
            evaluation=examples[:2] if evaluation else (),
            order_seed=order_seed,
            checkpoints=folder / "checkpoints",
            final_model=folder / "final_model",
            beside={"strategy.yaml": "a: {}\n"},
        )
        tuner.train(request, listen)
        return events, folder, tuner

    return run


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
def test_the_reward_rises_and_the_adapter_that_is_published_has_learned(train, policy, algorithm):
    events, folder, tuner = train(
        algorithm={"type": algorithm, "num_generations": 8, "max_completion_length": 6},
        training_args={"max_steps": 20, "learning_rate": 2e-2, "per_device_train_batch_size": 16},
        method={"r": 8},
    )
    rewards = [event.metrics["reward"] for event in of(StepEnded, events)]
    assert statistics.mean(rewards[-5:]) > statistics.mean(rewards[:5]) + 0.4
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(policy), folder / "final_model")
    ids = torch.tensor([prompt_ids(tuner.tokenizer, f"{QUESTIONS[0]} Answer:")] * 32)
    torch.manual_seed(0)
    answers = model.generate(ids, do_sample=True, max_new_tokens=6, top_k=0, pad_token_id=0)[:, ids.shape[1] :]
    said = ["e" in text for text in tuner.tokenizer.batch_decode(answers, skip_special_tokens=True)]
    assert sum(said) / len(said) > 0.5


def test_what_happens_is_told_in_the_words_of_the_house(train):
    events, folder, tuner = train(
        evaluation=True,
        training_args={
            "max_steps": 3,
            "learning_rate": 1e-3,
            "eval_strategy": "steps",
            "eval_steps": 2,
            "save_strategy": "steps",
            "save_steps": 1,
            "save_total_limit": 2,
            "warmup_steps": 2,
        },
        algorithm={"num_generations": 4, "max_completion_length": 5, "beta": 0.1},
    )
    [started], [ended] = of(TrainingStarted, events), of(TrainingEnded, events)
    steps = of(StepEnded, events)
    assert (started.total_steps, started.effective_batch_rows, ended.step) == (3, 8, 3)
    assert [event.step for event in steps] == [1, 2, 3]
    assert [event.learning_rate for event in steps] == pytest.approx([0, 5e-4, 1e-3])
    prompts = [len(row.input_ids) - sum(row.learned) for row in rows(tuner.tokenizer)]
    for event in steps:
        answers = event.metrics["completion_tokens"] * 8
        assert event.learned_tokens == pytest.approx(answers)
        assert event.total_tokens - event.learned_tokens in {4 * (a + b) for a in prompts for b in prompts if a != b}
        assert event.seconds > 0 and event.memory_bytes > 0 and 0 <= event.metrics["reward"] <= 1
    assert steps[0].metrics["kl"] == pytest.approx(0, abs=1e-6)  # the adapter begins as nothing
    assert [event.step for event in of(Evaluated, events)] == [event.step for event in of(Sampled, events)] == [2, 3]
    for evaluated, sampled in zip(of(Evaluated, events), of(Sampled, events), strict=True):
        assert evaluated.eval_perplexity is None and 0 <= evaluated.metrics["eval_reward"] <= 1
        assert sampled.prompt in {f"{question} Answer:" for question in QUESTIONS[:2]}
        assert sampled.reference == " a root"
    assert [event.step for event in of(CheckpointSaved, events)] == [1, 2, 3]
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["step-00000002", "step-00000003"]
    final, last = (
        load_file(path / "adapter_model.safetensors")
        for path in (folder / "final_model", folder / "checkpoints/step-00000003/model")
    )
    assert final.keys() == last.keys() and all(torch.equal(final[name], last[name]) for name in final)
    assert (folder / "final_model/strategy.yaml").read_text() == "a: {}\n"
    assert not (folder / "final_model/ref").exists()  # TRL's copy of the adapter's beginning


def test_the_model_is_asked_with_the_very_ids_that_complete_asks_with(train, policy, tmp_path, monkeypatch):
    """Also where the tokenizer puts BOS first, and where the ids are not those of the text tokenised again."""
    tokenizer = AutoTokenizer.from_pretrained(policy)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    AutoModelForCausalLM.from_pretrained(policy).save_pretrained(tmp_path / "bos")
    tokenizer.save_pretrained(tmp_path / "bos")
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in "carrot"]
    odd = Example([tokenizer.bos_token_id, *letters, 7, 0], [False] * 7 + [True, True], "rows.jsonl:9")
    assert tokenizer("carrot").input_ids != odd.input_ids[:7]
    asked, generate = [], LlamaForCausalLM.generate

    def recorded(self, input_ids, attention_mask, **more):
        asked.extend(ids[mask.bool()].tolist() for ids, mask in zip(input_ids, attention_mask, strict=True))
        return generate(self, input_ids=input_ids, attention_mask=attention_mask, **more)

    monkeypatch.setattr(LlamaForCausalLM, "generate", recorded)
    train(model=tmp_path / "bos", more=[odd], algorithm={"num_generations": 2}, training_args={"max_steps": 2})
    expected = [prompt_ids(tokenizer, f"{question} Answer:") for question in QUESTIONS]
    assert expected[0][0] == tokenizer.bos_token_id
    assert {tuple(ids) for ids in asked} == {tuple(ids) for ids in [*expected, odd.input_ids[:7]]}


def classifier(folder, tokenizer_folder, **changed):
    """A tiny reward model, its score large enough to matter."""
    torch.manual_seed(1)
    settings = LlamaConfig.from_pretrained(tokenizer_folder, num_labels=1, **changed)
    model = LlamaForSequenceClassification(settings)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(8)
        model.score.weight.mul_(30)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return model.eval()


def test_a_reward_model_scores_prompt_and_answer_as_transformers_does_one_by_one(policy, tmp_path):
    """This tokenizer pads with its end token, and a text is read before it, as in the training of a reward model."""
    model, tokenizer = classifier(tmp_path / "judge", policy), AutoTokenizer.from_pretrained(policy)
    prompts = Prompts(rows(tokenizer), tokenizer)[:3]
    answers = [[5, 6, 7, 0], [8], [9, 10, 11, 12, 13]]
    texts = tokenizer.batch_decode(answers, skip_special_tokens=True)
    scores = RewardModel(str(tmp_path / "judge"), tokenizer, torch.device("cpu"))(prompts, texts, answers)
    asked = [torch.tensor([[*prompt.ids, *answer]]) for prompt, answer in zip(prompts, answers, strict=True)]
    with torch.no_grad():
        assert scores == pytest.approx([model(ids).logits.item() for ids in asked], abs=1e-4)
        read = [model.model(ids).last_hidden_state[0, at] for ids, at in zip(asked, (-2, -1, -1), strict=True)]
        assert scores == pytest.approx([model.score(state).item() for state in read], abs=1e-4)


def test_a_reward_model_with_another_tokenizer_reads_the_text(policy, tmp_path):
    model, tokenizer = classifier(tmp_path / "judge", policy), AutoTokenizer.from_pretrained(policy)
    other = AutoTokenizer.from_pretrained(policy)
    other.add_tokens(["carrot"])
    other.save_pretrained(tmp_path / "judge")
    prompts = Prompts(rows(tokenizer), tokenizer)[:1]
    [score] = RewardModel(str(tmp_path / "judge"), tokenizer, torch.device("cpu"))(
        prompts, [" a carrot"], [[*tokenizer(" a carrot").input_ids, 0]]
    )
    ids = other(f"{QUESTIONS[0]} Answer: a carrot").input_ids
    assert other.convert_tokens_to_ids("carrot") in ids
    with torch.no_grad():
        assert score == pytest.approx(model(torch.tensor([ids])).logits.item(), abs=1e-4)


def test_a_policy_learns_from_a_reward_model_in_a_run_folder(train, policy, tmp_path):
    """One whose score depends on the last token alone, and answers of one token: few steps show."""
    judge = classifier(tmp_path / "judge/final_model", policy)
    for layer in judge.model.layers:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    judge.save_pretrained(tmp_path / "judge/final_model")
    events, _, _ = train(
        reward={"model": str(tmp_path / "judge")},
        algorithm={"num_generations": 8, "max_completion_length": 1},
        training_args={"max_steps": 15, "learning_rate": 2e-2, "per_device_train_batch_size": 16},
    )
    rewards = [event.metrics["reward"] for event in of(StepEnded, events)]
    assert statistics.mean(rewards[-4:]) > statistics.mean(rewards[:4]) + 1


def test_an_adapter_that_was_trained_as_a_classifier_is_a_reward_model_and_another_is_not(policy, tmp_path):
    base = LlamaForSequenceClassification.from_pretrained(policy, num_labels=1)
    judge = get_peft_model(base, LoraConfig(task_type="SEQ_CLS", r=2))
    judge.save_pretrained(tmp_path / "judge")
    tokenizer = AutoTokenizer.from_pretrained(policy)
    prompts = Prompts(rows(tokenizer), tokenizer)[:1]
    [score] = RewardModel(str(tmp_path / "judge"), tokenizer, torch.device("cpu"))(prompts, [""], [[5]])
    judge.eval().get_base_model().config.pad_token_id = 299
    assert score == pytest.approx(judge(torch.tensor([[*prompts[0].ids, 5]])).logits.item(), abs=1e-5)
    with pytest.raises(RequestError, match="is no reward model: it writes text"):
        reward_folder(str(policy))


def test_rewards_are_added_by_their_weights(train):
    events, _, _ = train(
        reward=[
            {"function": "length", "config": {"words": 1}, "weight": -2.0},
            {"function": "contains", "config": {"texts": ["e", "a"]}, "weight": 5.0},
        ]
    )
    for event in of(StepEnded, events):
        one, two = event.metrics["reward_length"], event.metrics["reward_contains"]
        assert event.metrics["reward"] == pytest.approx(-2 * one + 5 * two) and one > 0


def test_two_rewards_of_one_function_keep_their_own_means(train):
    events, _, _ = train(
        reward=[{"function": "contains", "config": {"texts": [text]}, "weight": 3.0} for text in ("zzzzz", "e")],
    )
    for event in of(StepEnded, events):
        one, two = event.metrics["reward_contains"], event.metrics["reward_contains_2"]
        assert event.metrics["reward"] == pytest.approx(3 * (one + two)) and one == 0


def test_a_reward_that_makes_no_difference_is_warned_of_once(train):
    events, _, _ = train(reward={"function": "json_object"}, training_args={"max_steps": 7})
    [warned] = of(Warned, events)
    assert "the reward gives no gradient" in warned.message
    assert all(event.metrics["undecided_share"] == 1 and event.grad_norm == 0 for event in of(StepEnded, events))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"reward": {"function": "lenght"}},
            r"reward\.0\.function[\s\S]*no reward of type 'lenght'; did you mean 'length'",
        ),
        ({"reward": {"function": "length"}}, r"words[\s\S]*Field required"),
        ({"reward": {"function": "os.system"}}, "no reward of type 'os.system'"),
        ({"reward": {"function": "length", "model": "x"}}, "exactly one of model, function"),
        ({"reward": {"weight": 1.0}}, "exactly one of model, function"),
        ({"reward": {"model": "x", "config": {"a": 1}}}, "a reward model has no settings"),
        ({"algorithm": {"num_generations": 3}}, "8 answers a step .* no multiple of algorithm.num_generations 3"),
    ],
)
def test_settings_that_cannot_be_are_refused_with_their_place(train, settings, message):
    with pytest.raises(ValidationError, match=message):
        train(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward": {"model": "/no/such/folder"}}, "/no/such/folder does not exist"),
        ({"training_args": {"per_device_train_batch_size": 80}}, "a step takes 10 prompts, and there are 4"),
        ({"training_args": {"eval_strategy": "epoch"}}, "there are no rows to evaluate on"),
    ],
)
def test_runs_that_cannot_be_are_refused_before_the_work(train, settings, message):
    with pytest.raises(RequestError, match=message):
        train(**settings)


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "furrow.components.fine_tuner.trl.fine_tuner", raising=False)
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(FurrowError, match=r"'trl' is not installed\n  pip install 'furrow\[trl\]'"):
        factory(COMPONENT)


def test_the_example_of_the_guide_loads(root, tmp_path):
    page = (root / "docs/policy_optimization.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block, encoding="utf-8")
        for loaded in load_all(file):
            assert loaded.strategy.fine_tuner.type == "trl"


def test_a_signal_ends_it_after_the_step_and_it_says_what_is_kept_and_what_is_lost(train, policy, tmp_path):
    arguments = {"max_steps": 4, "learning_rate": 1e-2, "eval_strategy": "steps", "eval_steps": 1}
    with pytest.raises(Interrupted, match=r"after step 2; the adapter is saved as .*cannot go on") as stopped:
        train(training_args=arguments, evaluation=True, stop_at=2)
    assert stopped.value.exit_code == 143 and not stopped.value.resumable
    assert not (tmp_path / "run" / "final_model").exists()
    kept = tmp_path / "run" / "checkpoints" / "step-00000002" / "model"
    assert f"method.init_from={kept}" in str(stopped.value)
    train(training_args={**arguments, "save_strategy": "steps", "save_steps": 2}, evaluation=True, name="whole")
    theirs = load_file(tmp_path / "whole/checkpoints/step-00000002/model/adapter_model.safetensors")
    ours = load_file(kept / "adapter_model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    train(training_args={"max_steps": 1}, method={"init_from": str(kept)}, name="more")


def test_a_signal_in_the_last_step_leaves_nothing_to_be_done(train, tmp_path):
    train(stop_at=2)
    assert (tmp_path / "run" / "final_model").is_dir()


@pytest.mark.parametrize("harm", ["loss", "weight"])
def test_a_step_that_is_not_finite_ends_it_and_nothing_of_it_is_kept(train, monkeypatch, tmp_path, harm):
    """At step 2: a loss of nan, or an update that leaves a weight so; the checkpoint of step 1 stays as it was."""
    trainer = fine_tuner._TRAINERS["grpo"][0]
    learn = trainer.training_step

    def harmed(self, model, *given):
        loss = learn(self, model, *given)
        if self.state.global_step == 1:
            trained = next(weight for weight in model.parameters() if weight.requires_grad)
            if harm == "weight":
                trained.data.view(-1)[0] = torch.nan
            loss = loss * torch.nan if harm == "loss" else loss
        return loss

    monkeypatch.setattr(trainer, "training_step", harmed)
    with pytest.raises(FurrowError, match=r"at step 2 \(learning rate \S+\)[\s\S]*nothing of that step is kept"):
        train(training_args={"max_steps": 3, "save_strategy": "steps", "save_steps": 1})
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000001"]
    assert not (tmp_path / "run/final_model").exists()
    kept = load_file(tmp_path / "run/checkpoints/step-00000001/model/adapter_model.safetensors")
    assert all(torch.isfinite(weight).all() for weight in kept.values())


def test_what_only_the_other_fine_tuner_does_is_refused_with_the_reason(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("a: {components: {fine_tuner: {type: trl, config: {training_args: {on_nonfinite: skip}}}}}")
    with pytest.raises(RequestError, match="only the fine-tuner pytorch can skip a batch or roll back"):
        load_all(file)


def test_one_signal_while_the_policy_is_published_loses_nothing(train, monkeypatch, tmp_path):
    publish = TrlFineTuner._publish

    def signalled(self, model, request):
        assert request.stop.heeded, "the signal would unwind it"
        request.stop.ask(signal.SIGTERM)
        publish(self, model, request)

    monkeypatch.setattr(TrlFineTuner, "_publish", signalled)
    train()
    assert (tmp_path / "run" / "final_model").is_dir()
