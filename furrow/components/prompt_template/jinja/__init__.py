"""A template that the user writes in Jinja."""
