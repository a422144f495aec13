"""The base model, what of it is trained, and how that is read and written."""
