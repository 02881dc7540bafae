"""How the C library keeps the memory of large blocks: in model processes as it would by itself."""

import ctypes

_M_MMAP_THRESHOLD = -3  # mallopt(3)
_LARGEST_BYTES = 2**25  # the largest that glibc's own, growing threshold reaches


def keep_large_blocks() -> None:
    """Undoes MALLOC_MMAP_THRESHOLD_ of the server for this process.

    The server gets a low threshold, so that the buffers of requests of many sizes go back to the system when they are
    freed. A model process works on arrays of few sizes again and again: mapping each anew would cost more than the work
    on small ones. Where the C library has no mallopt nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES)
