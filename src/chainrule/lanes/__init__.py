"""Many runs of one small network at once: each lane of the processor's vectors is a run of its own."""
