"""What a user may have meant by a key that does not exist."""

from __future__ import annotations

from typing import Any

from furrow.components.errors import nearest
from furrow.strategies.errors import Path, dotted
from furrow.strategies.keys import Key, every_key, keys_at
from furrow.strategies.moved_keys import MOVED, REWORDED, SHORT_FORMS

ELSEWHERE_CALLED: dict[str, str] = {
    "adapter": "method.type",
    "base_model_name_or_path": "base_model.huggingface_id",
    "batch_size": "training_args.per_device_train_batch_size",
    "beta1": "training_args.adam_beta1",
    "beta2": "training_args.adam_beta2",
    "clip_grad_norm": "training_args.max_grad_norm",
    "cutoff_len": "data_preprocessing.max_length",
    "dpo_beta": "objective.beta",
    "dtype": "base_model.torch_dtype",
    "early_stop": "training_args.early_stopping",
    "early_stopping_min_delta": "training_args.early_stopping.threshold",
    "epochs": "training_args.num_train_epochs",
    "eval_batch_size": "training_args.per_device_eval_batch_size",
    "finetuning_type": "method.type",
    "grad_accum": "training_args.gradient_accumulation_steps",
    "gradient_clip": "training_args.max_grad_norm",
    "gradient_clipping": "training_args.max_grad_norm",
    "hf_model_id": "base_model.huggingface_id",
    "kto_desirable_weight": "objective.desirable_weight",
    "kto_undesirable_weight": "objective.undesirable_weight",
    "lora_alpha": "method.alpha",
    "lora_dropout": "method.dropout",
    "lora_r": "method.r",
    "lora_rank": "method.r",
    "lora_target_modules": "method.target_modules",
    "lr": "training_args.learning_rate",
    "lr_end": "training_args.min_lr",
    "lr_scheduler": "training_args.lr_scheduler_type",
    "min_learning_rate": "training_args.min_lr",
    "micro_batch_size": "training_args.per_device_train_batch_size",
    "model_id": "base_model.huggingface_id",
    "model_max_length": "data_preprocessing.max_length",
    "model_name_or_path": "base_model.huggingface_id",
    "n_epochs": "training_args.num_train_epochs",
    "num_epochs": "training_args.num_train_epochs",
    "num_decay_steps": "training_args.decay_steps",
    "num_predict": "generation.max_new_tokens",
    "optimizer": "training_args.optim",
    "per_gpu_train_batch_size": "training_args.per_device_train_batch_size",
    "orpo_alpha": "objective.beta",
    "orpo_beta": "objective.beta",
    "pref_beta": "objective.beta",
    "pref_loss": "objective.loss",
    "quant": "export.quantization",
    "quantize": "export.quantization",
    "rank": "method.r",
    "repeat_penalty": "generation.repetition_penalty",
    "rl": "objective.type",
    "rl_beta": "objective.beta",
    "scheduler": "training_args.lr_scheduler_type",
    "sequence_len": "data_preprocessing.max_length",
    "sequence_length": "data_preprocessing.max_length",
    "simpo_gamma": "objective.gamma",
    "stage": "objective.type",
    "stop": "prompt_template.stop_sequences",
    "system_prompt": "prompt_template.system",
    "target_module": "method.target_modules",
    "template": "prompt_template.format",
    "test_file": "dataset.eval_file",
    "test_size": "dataset.eval_split",
    "train_batch_size": "training_args.per_device_train_batch_size",
    "train_data": "dataset.train_file",
    "val_file": "dataset.eval_file",
    "val_set_size": "dataset.eval_split",
    "val_size": "dataset.eval_split",
    "validation_file": "dataset.eval_file",
    "validation_split": "dataset.eval_split",
    "warmup": "training_args.warmup_ratio",
}
"""Names of Axolotl, LLaMA-Factory, PEFT, scikit-learn and everyday speech -> the key here (short form)."""

_FEW = 16
"""As many names are listed in full; more are left to the reference."""


def unknown_key(parent: Path, name: str, variant: Any) -> str:
    """What to say about the key `name` in the mapping at `parent`, whose `type` is `variant`."""
    above = tuple(step for step in parent if isinstance(step, str))  # entries of a list all have the same keys
    here = keys_at(above, variant)
    for key in here:
        if name in key.owner.not_here:
            return f"is not there: {key.owner.not_here[name]}"
    other = dict.fromkeys(str(key.variant) for key in keys_at(above) if key.name == name and key not in here)
    if other:
        types = "type" if len(other) == 1 else "the types"
        return f"belongs to {types} {', '.join(other)}, but the type here is {variant}"
    inside = keys_at((*above, "config"), variant)
    if inside and not here:
        near = nearest(name, (key.name for key in inside))
        said = repr(dotted((*above, "config", near))) if near else None
        return "is not known; " + (f"did you mean {said}? " if said else "") + "allowed: type, config"
    meant = _meant(above, name, here)
    allowed = list(
        dict.fromkeys([*(["type"] if any(key.variant for key in here) else []), *(key.name for key in here)])
    )
    if not above:
        allowed += ["extends", *SHORT_FORMS]
    listed = f"allowed: {', '.join(allowed)}" if len(allowed) <= _FEW else "see `strategies schema` for all keys"
    return "is not known; " + (f"did you mean {meant}? " if meant else "") + listed


def _meant(above: tuple[str, ...], name: str, here: list[Key]) -> str | None:
    called = ELSEWHERE_CALLED.get(name.lower())
    if called:
        return _said(_expanded(called), above)
    near = nearest(name, _names_here(above, here))
    if near:
        return repr(near)
    index = {key.name: key.path for key in reversed(every_key())}
    exact = name if name in index else None
    far = exact or (nearest(name, index) if len(name) > 4 else None)
    return _said(index[far], above) if far else None


def _names_here(above: tuple[str, ...], here: list[Key]) -> list[str]:
    """The names that may be written in this mapping: its own, and those that are taken elsewhere."""
    moved = [str(path[-1]) for path in (*MOVED, *REWORDED) if path[:-1] == above]
    return [*(key.name for key in here), *moved, *(SHORT_FORMS if not above else ())]


def _expanded(short: str) -> tuple[str, ...]:
    first, *rest = short.split(".")
    return (*(str(step) for step in SHORT_FORMS.get(first, (first,))), *rest)


def _said(path: tuple[str, ...], above: tuple[str, ...]) -> str:
    """Just the name for a neighbour, the whole path for a key of another block."""
    return repr(path[-1]) if path[:-1] == above else repr(dotted(path))
