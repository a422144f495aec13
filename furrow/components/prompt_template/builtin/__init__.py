"""Templates that ship: each is a Jinja file here and a row in `table.py`, rendered as a model's own is."""
