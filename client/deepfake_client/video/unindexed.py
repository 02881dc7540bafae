"""Containers without an index, whose clock may jump: what broadcasting and streaming use.

Key frames are reached by their place in the file, for FFmpeg's search by time ends between them. A clock that jumps
where recordings were joined goes on as if it had not, which is how players show it.
"""

from collections.abc import Iterator

import av

_BACK_BYTES = {"mpegts": 0, "flv": 0, "mpeg": 2**16}
"""By demuxer, how far before the place that it tells a key frame may begin."""

_LONGEST_FIELD_S = 1 / 40
"""Interlaced video has 50 or 60 fields a second; a frame is shown for twice as long."""

_PROGRESSIVE = 1  # FFmpeg's AV_FIELD_PROGRESSIVE; 0 is unknown, others are interlaced

_FORWARD_S, _BACKWARD_S = 10.0, 1.0
"""A decoding time this far after or before the last one is a jump; FFmpeg's own programs take 10 s for the first."""


class Unindexed:
    """The packets of one such file. What is learned in the pass from its start serves the seeks of later passes."""

    def __init__(self, demuxer: str) -> None:
        self._back_bytes = _BACK_BYTES[demuxer]
        self._places: dict[int, tuple[int, int]] = {}  # of key frames by time: the byte, and the clock's offset there
        self._sought: int | None = None

    @staticmethod
    def reads(demuxer: str) -> bool:
        """Whether the demuxer is of such a container."""
        return demuxer in _BACK_BYTES

    def seek(self, container: "av.container.InputContainer", video: "av.VideoStream", keyframe: int) -> None:
        """Moves to a key frame by its time; raises FFmpegError where that fails."""
        start = max(self._places[keyframe][0] - self._back_bytes, 0)
        container.seek(start, stream=video, unsupported_byte_offset=True)
        self._sought = keyframe

    def steady(self, packets: "Iterator[av.Packet]", tick_s: float, frame_ticks: float) -> "Iterator[av.Packet]":
        """The packets with the times of a clock that does not jump; after a seek, from that key frame on."""
        sought, self._sought = self._sought, None
        position, offset = (0, 0) if sought is None else self._places[sought]
        clock, end = _Clock(tick_s, round(frame_ticks), offset), position
        for packet in packets:
            position = position if packet.pos is None else packet.pos
            clock.correct(packet)
            time = packet.dts if packet.pts is None else packet.pts
            if sought is not None and (time != sought or not packet.is_keyframe):
                if position > end:
                    return
                continue
            sought = None
            if packet.is_keyframe and time is not None:
                self._places.setdefault(time, (position, clock.offset))
            yield packet


class SecondFields:
    """Tells them among the packets of a video: broadcasts store the two fields of a frame as two packets of H.264."""

    def __init__(self, video: "av.VideoStream") -> None:
        self._longest = _LONGEST_FIELD_S / float(video.time_base or 1) if is_interlaced(video) else 0.0
        self._first_ends: int | None = None

    def __contains__(self, packet: "av.Packet") -> bool:
        """Whether it belongs to the frame of the packet before it; to be asked of each in order."""
        first_ends, self._first_ends = self._first_ends, None
        if packet.pts is None or not 0 < (packet.duration or 0) <= self._longest:
            return False
        if first_ends is not None and abs(packet.pts - first_ends) <= 1:  # times are rounded
            return True
        self._first_ends = packet.pts + packet.duration
        return False


def is_interlaced(video: "av.VideoStream") -> bool:
    """Whether its header says so; never with PyAV before 18, which does not tell."""
    return bool(getattr(video.codec_context, "field_order", _PROGRESSIVE) > _PROGRESSIVE)


class _Clock:
    def __init__(self, tick_s: float, frame_ticks: int, offset: int) -> None:
        self.offset = offset
        self._frame_ticks = frame_ticks
        self._forward, self._backward = _FORWARD_S / tick_s, _BACKWARD_S / tick_s
        self._last: int | None = None
        self._delay = 0

    def correct(self, packet: "av.Packet") -> None:
        if packet.pts is not None:
            packet.pts += self.offset
        if packet.dts is None:
            return
        packet.dts += self.offset
        step = 0 if self._last is None else packet.dts - self._last
        if not -self._backward <= step <= self._forward:
            jump = self._frame_ticks - step
            self.offset += jump
            packet.dts += jump
            if packet.pts is not None:
                packet.pts += jump
        self._last = packet.dts
        if packet.pts is not None:
            if packet.pts - packet.dts > self._forward:  # the last frames before a jump get times from after it
                packet.pts = packet.dts + self._delay
            self._delay = max(self._delay, packet.pts - packet.dts)
