"""The six steps, and what surrounds them."""
