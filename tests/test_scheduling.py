import os
from pathlib import Path

import pytest

from tests.media import VideoSpec, write_video
from tests.scheduling import kept_scheduling


def test_encoding_av1_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", VideoSpec(3, codec="libsvtav1", options={"preset": "10"}))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_it_is_given_back_after_an_error_too() -> None:
    def change() -> None:
        with kept_scheduling():
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        change()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
