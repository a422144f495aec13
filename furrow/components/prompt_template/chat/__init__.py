"""The base model's own chat template."""
