"""transformers' Trainer over a PEFT model: `python trainer_peft.py asked.json`."""

import common
from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

job = common.asked()
tokenizer = AutoTokenizer.from_pretrained(job.model)
model = common.adapted(job)
Trainer(
    model=model,
    args=TrainingArguments(**common.arguments(job)),
    train_dataset=common.rows(job.ids),
    data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
    callbacks=[common.Marks()],
).train()
model.save_pretrained(job.output)
