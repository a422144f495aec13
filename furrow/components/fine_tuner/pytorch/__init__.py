"""The PyTorch fine-tuner."""
