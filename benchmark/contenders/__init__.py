"""What the service is compared with: a plain Flask + transformers service, LitServe and mosec."""
