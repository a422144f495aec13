"""Model app `openai_compatible`: a server answers that speaks OpenAI's HTTP interface."""
