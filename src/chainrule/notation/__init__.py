"""Formulas and names as people write them, read: ASCII, Unicode and LaTeX."""
