"""What all commands share: how their help looks, how they end, and options for settings."""
