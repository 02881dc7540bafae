"""Checkpoint to release: the ONNX graph, the parity gate, and the entries of the Triton model repository."""
