"""What is to be run: typed parameters of notebooks, and sweep files."""
