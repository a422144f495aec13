"""The fine-tuner over TRL: policy optimisation."""
