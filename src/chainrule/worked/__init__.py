"""The worked example of a recorded step: its trace as a program of scalar assignments."""
