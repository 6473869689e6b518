"""Numbers and pictures made of runs."""
