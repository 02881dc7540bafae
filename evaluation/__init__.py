"""How well a served model tells real media from fake: metrics with intervals, figures and a machine-readable result."""
