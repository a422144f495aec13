"""A plugin that claims a name which another package has."""
