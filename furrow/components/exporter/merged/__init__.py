"""Exporter `merged`: one folder of whole weights in safetensors, with the tokenizer and its chat template."""
