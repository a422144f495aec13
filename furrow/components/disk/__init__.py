"""What is written so that it is whole or absent, and what a disk has to say about it."""
