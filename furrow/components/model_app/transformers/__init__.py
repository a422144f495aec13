"""Answers with transformers."""
