"""TRL's SFTTrainer, plain or packed: `python trl_sft.py asked.json`."""

import common
from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

job = common.asked()
rows = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in common.rows(job.ids)]
trainer = SFTTrainer(
    model=common.base_model(job),
    args=SFTConfig(
        **common.arguments(job),
        max_length=512,
        packing=job.packing,
        gradient_checkpointing=job.gradient_checkpointing,
        bf16=False,
    ),
    train_dataset=Dataset.from_list(rows),
    processing_class=AutoTokenizer.from_pretrained(job.model),
    peft_config=None if job.method == "full" else common.lora_config(job),
    callbacks=[common.Marks()],
)
trainer.train()
trainer.save_model(job.output)
