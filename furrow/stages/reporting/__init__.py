"""What a run noted of itself, and the pages and warnings that are made of it."""
