"""Scoring of a directory's, a listing's or an object store's media on a Ray cluster: exactly one row for each file.

Only `bulk.cluster` knows Ray. The path of a run: `listing` -> `plan` (units of files, with names made from what is in
them) -> `cluster` (Ray actors) -> `worker` -> `patience` (the client's own batch) -> `shards` (rows) -> `check`.
"""
