"""Public data sets as training data: who is in each file, how it was made, and a split that shares nobody."""
