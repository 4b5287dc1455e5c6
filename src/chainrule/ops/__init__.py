"""What an op should do: its formula, its derivative, what silences it and what makes it blow up."""
