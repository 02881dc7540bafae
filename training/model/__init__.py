"""The classifier that is trained, and how."""
