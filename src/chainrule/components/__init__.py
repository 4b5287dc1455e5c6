"""Network, loss, optimizer and schedule of a task, built from their names."""
