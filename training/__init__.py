"""Training: labelled media to a checkpoint that `deepfake-export` takes."""
