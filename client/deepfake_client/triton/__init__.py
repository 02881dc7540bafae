"""Triton servers over gRPC."""
