"""TRL's SFTTrainer, plain or packed: `python trl_sft.py asked.json`."""

import peft_job
from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

job = peft_job.asked()
rows = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in peft_job.rows(job.ids)]
trainer = SFTTrainer(
    model=peft_job.base_model(job),
    args=SFTConfig(
        **peft_job.arguments(job),
        max_length=512,
        packing=job.packing,
        gradient_checkpointing=job.gradient_checkpointing,
        bf16=False,
    ),
    train_dataset=Dataset.from_list(rows),
    processing_class=AutoTokenizer.from_pretrained(job.model),
    peft_config=None if job.method == "full" else peft_job.lora_config(job),
    callbacks=[peft_job.Marks()],
)
trainer.train()
trainer.save_model(job.output)
