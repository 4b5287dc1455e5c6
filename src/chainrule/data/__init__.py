"""Data sets: read, split, scaled."""
