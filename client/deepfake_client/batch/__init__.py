"""Many files: the command line `deepfake-detect`."""
