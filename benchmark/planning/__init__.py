"""Plans from measured rates: how many nodes a load needs, and how many cores feed a GPU."""
