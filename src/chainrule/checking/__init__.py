"""Is this hand-made workbook, or file of formulas, right?"""
