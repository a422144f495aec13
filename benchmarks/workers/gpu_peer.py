"""A peer on a GPU, Trainer (sdpa, flash attention, Liger's kernels) or Unsloth: `python gpu_peer.py asked.json`."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

job = SimpleNamespace(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
if job.system == "unsloth":
    from unsloth import FastLanguageModel  # before transformers, which it patches

import peft_job  # noqa: E402
import torch  # noqa: E402
from peft import LoraConfig, get_peft_model  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainingArguments,
)

lora = {"r": job.rank, "lora_alpha": job.alpha, "lora_dropout": 0.0, "target_modules": peft_job.LINEAR}
if job.system == "unsloth":
    model, tokenizer = FastLanguageModel.from_pretrained(
        job.model, max_seq_length=job.length, dtype=torch.bfloat16, load_in_4bit=False
    )
    model = FastLanguageModel.get_peft_model(model, **lora, random_state=job.seed)
else:
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    attention = "flash_attention_2" if job.system == "trainer-flash" else "sdpa"
    model = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.bfloat16, attn_implementation=attention)
    torch.manual_seed(job.seed)
    model = get_peft_model(model.to("cuda"), LoraConfig(**lora, task_type="CAUSAL_LM"))
Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=job.output,
        num_train_epochs=1,
        per_device_train_batch_size=job.batch,
        gradient_accumulation_steps=job.accumulation,
        learning_rate=job.learning_rate,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1.0,
        seed=job.seed,
        bf16=True,
        train_sampling_strategy="sequential",
        use_liger_kernel=job.system == "trainer-liger",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    ),
    train_dataset=peft_job.rows(job.ids),
    data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
    callbacks=[peft_job.Marks()],
).train()
