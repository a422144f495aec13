"""A mixture of experts, all weights trained: on disk its experts lie one by one, in the model they are one tensor."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors import safe_open
from transformers import MixtralConfig, MixtralForCausalLM

from furrow.components.disk.checkpoint_folder import name_of
from furrow.components.disk.hashing import sha256_of
from furrow.components.events import Evaluated, StepEnded, TrainingEnded


@pytest.fixture(scope="module")
def tiny_model(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    shutil.copytree(tiny_model, folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    settings = MixtralConfig(
        vocab_size=304, hidden_size=32, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=3, num_experts_per_tok=2, bos_token_id=None, eos_token_id=0,
        pad_token_id=0,
    )  # fmt: skip
    MixtralForCausalLM(settings).save_pretrained(folder)
    return folder


def test_a_checkpoint_is_gone_on_from_to_the_bit_and_the_best_one_is_loaded(train, examples):
    settings = {
        "method": {"type": "full"}, "max_steps": 4, "learning_rate": 0.5, "optim": "sgd", "max_grad_norm": 0,
        "lr_scheduler_type": "constant", "save_strategy": "steps", "save_steps": 2, "eval_strategy": "steps",
        "eval_steps": 1, "load_best_model_at_end": True,
    }  # fmt: skip
    events, folder = train(examples[:20], examples[20:], **settings)
    final = folder / "final_model" / "model.safetensors"
    with safe_open(final, "pt") as file:
        assert any(".experts.2." in name for name in file.keys())  # noqa: SIM118 (a safe_open has no iterator)
    before = sha256_of(final)
    measured = {event.step: event.eval_loss for event in events if isinstance(event, Evaluated)}
    [ended] = [event for event in events if isinstance(event, TrainingEnded)]
    assert ended.best_step == min(measured, key=measured.__getitem__) < 4  # loaded again at the end
    losses = [event.loss for event in events if isinstance(event, StepEnded)]
    again, _ = train(examples[:20], examples[20:], resume=folder / "checkpoints" / name_of(2), **settings)
    assert [event.loss for event in again if isinstance(event, StepEnded)] == losses[2:]
    assert sha256_of(final) == before
