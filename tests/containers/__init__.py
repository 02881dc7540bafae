"""The images, built and tried for real: `make test-containers`, with Docker or, as root, with podman."""
