"""What a person sees: the events of a stage as a live picture, as plain lines, or as JSON."""
