"""Furrow fine-tunes language models from a strategy file."""

__version__ = "0.1.0"
