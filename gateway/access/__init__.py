"""Who may use the gateway: API keys, other origins, what browsers may do with an answer."""
