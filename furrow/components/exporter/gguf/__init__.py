"""Exporters `gguf` and `gguf-adapter`: the file that llama.cpp, and everything built on it, serves.

The layout of tensors and the formulas for rotary embeddings follow llama.cpp (MIT); the file is written over its
`gguf` library.
"""
