"""What `setup` looks at, one subject a module. Each answers with `Check`s, changes nothing and imports no torch."""
