"""Data sets: each writes its images once, as arrays."""
