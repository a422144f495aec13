"""What the two scripts share: the rows, the adapter, and a callback that says how far the training is."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TrainerCallback

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def asked():
    return SimpleNamespace(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))


def rows(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def say(**what):
    print("BENCHMARK " + json.dumps(what), flush=True)


class Marks(TrainerCallback):
    """Says when the first step begins and when each has ended, with its loss."""

    def on_train_begin(self, args, state, control, **kwargs):
        say(mark="begun", threads=torch.get_num_threads())

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "loss" in logs:
            say(mark="step", loss=float(logs["loss"]))


def base_model(job):
    """float32, or nf4 with double quantisation as PEFT's guide to quantisation has it."""
    if job.method != "qlora":
        return AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32)
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32, quantization_config=quantisation)
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def lora_config(job):
    return LoraConfig(
        r=job.rank,
        lora_alpha=job.alpha,
        lora_dropout=0.0,
        target_modules=LINEAR,
        layers_to_transform=job.layers,
        task_type="CAUSAL_LM",
    )


def adapted(job):
    """The model that learns. The seed is set last, so that the adapter begins with the same numbers everywhere."""
    model = base_model(job)
    if job.method == "full":
        return model
    torch.manual_seed(job.adapter_seed)
    return get_peft_model(model, lora_config(job))


def arguments(job):
    """TrainingArguments of both."""
    return {
        "output_dir": job.output,
        "num_train_epochs": job.epochs,
        "per_device_train_batch_size": job.batch,
        "gradient_accumulation_steps": job.accumulation,
        "learning_rate": job.learning_rate,
        "lr_scheduler_type": "linear",
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": job.seed,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
