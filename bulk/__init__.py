"""Many files on a Ray cluster, by `deepfake-bulk`: cli -> listing -> cluster (Ray) -> worker -> output (rows)."""
