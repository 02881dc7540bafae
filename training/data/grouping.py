"""Which files belong together: same person, same content or same picture, however many links lie between."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def group(links: Sequence[Sequence[str]]) -> list[int]:
    """Numbers the connected components of files that share a link.

    Args:
        links: For each file what it is linked by, such as `person:anna` or `content:9f86d0...`; none: on its own.

    Returns:
        For each file the number of its group, from 0.
    """
    names = {name: number for number, name in enumerate(dict.fromkeys(name for file in links for name in file))}
    pairs = [(file, len(links) + names[name]) for file, own in enumerate(links) for name in own]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    size = len(links) + len(names)
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(int(component), len(numbers)) for component in components[: len(links)]]
