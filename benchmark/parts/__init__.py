"""The parts of `deepfake-bench run`: each measures one thing and returns one frozen dataclass."""
