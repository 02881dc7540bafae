"""What the gateway tells of its work: logs, metrics, traces."""
