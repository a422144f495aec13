"""Which rows are broken: named rules, so that the same file always loses the same rows, each with its reason."""
