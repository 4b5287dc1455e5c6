"""The commands, and what their options are. Each imports what it needs when it runs."""
