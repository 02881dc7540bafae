"""From frames to scores: the score cache, and whether the model answers."""
