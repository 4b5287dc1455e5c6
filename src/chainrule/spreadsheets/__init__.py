"""Workbooks, read without trusting them: cells, formulas, and their values computed again."""
