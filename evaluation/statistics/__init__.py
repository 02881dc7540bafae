"""Figures from labels and scores, and how sure they are: pure functions of arrays."""
