"""From frames to scores: how many requests at a time, the score cache, and whether the model answers."""
