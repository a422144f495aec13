"""What measures speed and memory: Furrow beside other tools, on the same work, on the machine at hand."""
