"""The parity gate: what is compared, on which images, within which tolerances, and which variant is taken."""
