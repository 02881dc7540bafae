"""Deployment: the one-command local service, container files and cluster manifests."""
