"""`python -m evaluation` is `deepfake-evaluate`."""

from evaluation.cli import main

main()
