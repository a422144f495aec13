"""A plugin that cannot be imported: it was written for a Furrow that is no more."""
