"""What torch offers by name, and which arguments each name takes."""
