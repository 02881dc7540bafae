"""The fusion of several models: what is fitted, and whether it helps."""
