"""The videos that the frame tests read: one per container and codec that matters, named by what it shows."""

from tests.media import H264_LONG_GOP, H264_SHORT_GOP, VideoSpec

_SMALL = (256, 64)
_MPEG2 = {"g": "12", "bf": "2", "b": "4000000"}
_FAST_VPX = {"deadline": "realtime", "cpu-used": "8"}

CLIPS = {
    "h264_gop250.mp4": VideoSpec(600, options=H264_LONG_GOP),
    "h264_gop12.mp4": VideoSpec(600, options=H264_SHORT_GOP),
    "h264_open_gop.mp4": VideoSpec(300, options={**H264_SHORT_GOP, "x264-params": "open-gop=1"}),
    "h264_fragmented.mp4": VideoSpec(
        300, options=H264_SHORT_GOP, container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "h264_1000_frames.mp4": VideoSpec(1000, size=(256, 64), options=H264_SHORT_GOP),
    "h264.mov": VideoSpec(150, options=H264_SHORT_GOP),
    "h264.mkv": VideoSpec(300, options=H264_SHORT_GOP),
    "h264_b_frames.avi": VideoSpec(150, options=H264_SHORT_GOP),
    "mpeg4.avi": VideoSpec(150, codec="mpeg4", options={"b": "2000000"}),
    "mpeg4_b_frames.avi": VideoSpec(150, codec="mpeg4", options={"b": "2000000", "bf": "2"}),
    "mjpeg.avi": VideoSpec(150, codec="mjpeg", pix_fmt="yuvj420p"),
    "vp8.webm": VideoSpec(100, codec="libvpx", options=_FAST_VPX),
    "vp8_hidden_frames.webm": VideoSpec(
        100, codec="libvpx", options={"deadline": "good", "cpu-used": "5", "auto-alt-ref": "1", "lag-in-frames": "16"}
    ),
    "vp9.webm": VideoSpec(100, codec="libvpx-vp9", options=_FAST_VPX),
    "av1.mp4": VideoSpec(60, codec="libsvtav1", options={"preset": "10", "svtav1-params": "keyint=20"}),
    "h264.ts": VideoSpec(100, size=_SMALL, options=H264_SHORT_GOP),
    "mpeg2.m2ts": VideoSpec(100, size=_SMALL, codec="mpeg2video", options=_MPEG2),
    "mpeg2.mpg": VideoSpec(100, size=_SMALL, codec="mpeg2video", options=_MPEG2),
    "h264.flv": VideoSpec(100, size=_SMALL, options=H264_SHORT_GOP),
    "flv1.flv": VideoSpec(100, size=_SMALL, codec="flv", options={"b": "2000000"}),
    "wmv2.wmv": VideoSpec(100, size=_SMALL, codec="wmv2", options={"b": "2000000"}),
    "vp8.ogv": VideoSpec(100, size=_SMALL, codec="libvpx", options=_FAST_VPX),
    "h264.3gp": VideoSpec(100, size=_SMALL, options=H264_SHORT_GOP),
    "h264.m4v": VideoSpec(100, size=_SMALL, options=H264_SHORT_GOP),
    "hevc.mp4": VideoSpec(
        100, codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:keyint=20"}
    ),
}
