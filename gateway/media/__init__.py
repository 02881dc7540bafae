"""The files that a request names, and the pictures that an answer shows."""
