"""What to train: read, checked, written."""
