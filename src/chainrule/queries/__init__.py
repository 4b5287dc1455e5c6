"""Questions to a trace: where does this number come from, and why is it zero, huge or not a number."""
