"""One training step of the user's own model, recorded."""
