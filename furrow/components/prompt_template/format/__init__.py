"""The template that the guide's `prompt_template.format` describes."""
