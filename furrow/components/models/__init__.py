"""Models on disk and in memory: what a folder holds, whether it may be believed, and how it is loaded."""
