"""An example of a component in a package of its own; docs/components.md walks through it."""
