"""Rows and examples that lie on disk: read in order or by number, in no more memory than a few bytes for each."""
