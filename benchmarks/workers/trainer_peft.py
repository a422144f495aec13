"""transformers' Trainer over a PEFT model: `python trainer_peft.py asked.json`."""

import peft_job
from transformers import AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments

job = peft_job.asked()
tokenizer = AutoTokenizer.from_pretrained(job.model)
model = peft_job.adapted(job)
Trainer(
    model=model,
    args=TrainingArguments(**peft_job.arguments(job)),
    train_dataset=peft_job.rows(job.ids),
    data_collator=DataCollatorForSeq2Seq(tokenizer, padding=True),
    callbacks=[peft_job.Marks()],
).train()
model.save_pretrained(job.output)
