"""The components a strategy wires, one folder per slot, and at this root the few words that every one of them speaks."""
