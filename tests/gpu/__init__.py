"""`make test-gpu`: what only a machine with an NVIDIA GPU can show. It has not run on one where this was written."""
