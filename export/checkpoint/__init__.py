"""A checkpoint: where it lies, what it says about itself, and the model loaded with transformers."""
