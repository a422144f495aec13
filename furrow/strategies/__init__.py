"""Strategies: what a run is, read from YAML and verified before anything heavy is imported."""
