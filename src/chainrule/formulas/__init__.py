"""Formulas as SymPy expressions, and their printers."""
