from gateway import GatewaySettings
from gateway.app import decode_bytes

GIB = 2**30


def test_decoders_take_half_of_a_container_at_most() -> None:
    settings = GatewaySettings(max_video_decodes=4)
    assert decode_bytes(settings, 8 * GIB) * 4 == 4 * GIB
    assert decode_bytes(settings, 100 * GIB) == settings.video_decode_bytes == 4 * GIB
    assert decode_bytes(GatewaySettings(video_decode_bytes=GIB // 2), 100 * GIB) == GIB // 2
    assert decode_bytes(settings, GIB) == GIB // 4, "less decodes nothing"
