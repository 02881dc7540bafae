"""What the service is compared with: the seed system, two general serving frameworks, and no server at all."""
