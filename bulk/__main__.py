"""`python -m bulk` is `deepfake-bulk`."""

from bulk.cli import main

main()
