"""A running Triton: its program, its shared memory, and the inferences that prove it."""
