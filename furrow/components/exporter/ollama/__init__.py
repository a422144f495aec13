"""Exporter `ollama`: a GGUF, a Modelfile, and registration with a running Ollama."""
