"""Results turned into documents; nothing here draws."""
