"""What a step or a run did, in numbers."""
