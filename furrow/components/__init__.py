"""The components a strategy wires, one folder per slot, and at this root the few words that all of them speak."""
