"""A scale and verdict bands for a trained checkpoint, set on held-out files."""
