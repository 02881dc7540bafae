"""Work on untrusted files in processes of its own, within limits."""
