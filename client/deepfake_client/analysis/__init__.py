"""What is worked out from the scores of the frames."""
