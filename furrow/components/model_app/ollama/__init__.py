"""Model app `ollama`: a model of a running Ollama server answers."""
