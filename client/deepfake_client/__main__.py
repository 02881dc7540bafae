"""`python -m deepfake_client` is `deepfake-detect`."""

from deepfake_client.batch.cli import main

main()
