"""Model app `llama_cpp`: a GGUF file answers through llama.cpp, in this process."""
