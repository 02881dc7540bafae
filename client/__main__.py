"""`python -m client` is `deepfake-detect`."""

from client.cli import main

main()
