"""Measurements of the served path."""
