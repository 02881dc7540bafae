"""Frames through FFmpeg's filters."""

import contextlib
from collections.abc import Sequence
from fractions import Fraction

import av


def filtered(frames: "Sequence[av.VideoFrame]", *filters: tuple[str, str]) -> "list[av.VideoFrame]":
    """What a chain of filters makes of frames of one size and format, with the colour labels of the first one.

    Args:
        frames: One at least.
        filters: Name and options of each.
    """
    first = frames[0]
    graph = av.filter.Graph()
    last = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=Fraction(1))
    for name, options in [*filters, ("buffersink", "")]:
        following = graph.add(name, options)
        last.link_to(following)
        last = following
    graph.configure()
    for frame in [*frames, None]:
        graph.vpush(frame)
    made = []
    with contextlib.suppress(av.error.EOFError):
        while True:
            made.append(graph.vpull())
    for frame in made:
        frame.colorspace, frame.color_range = first.colorspace, first.color_range
        frame.color_trc, frame.color_primaries = first.color_trc, first.color_primaries
    return made
