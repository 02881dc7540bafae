"""The served graph: the ONNX export, exact rewrites of it, and its numeric formats."""
