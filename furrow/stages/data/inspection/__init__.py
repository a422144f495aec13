"""What stands in the rows of a strategy that nobody meant to teach: looked at before the first step."""
