"""The result of a video: its frames over time, in pictures and in a table."""

import re
from pathlib import Path

from selenium.webdriver import ActionChains, Chrome

from deepfake_client.scorer import FrameScore
from tests.browser import drop_files
from tests.integration.page.conftest import Page
from tests.media import VideoSpec, write_video
from tests.scripted_gateway import ScriptedGateway, scored, scripted_gateway


def test_a_dropped_video_is_analysed(page: Page, clip: Path) -> None:
    box = page.one("#chooser").rect
    drop_files(page.driver, [clip], int(box["x"] + 50), int(box["y"] + 50))
    page.result()
    assert page.text("#result-title") == "No verdict: the model is untrained"
    options = page.all(".plot [role=option]")
    assert len(options) == 30
    assert page.facts()["Frames"].startswith("30 scored; ")
    assert page.facts()["Content"].startswith("MP4 video")
    assert len(page.all(".scores dt")) == 6
    page.one(".frames summary").click()
    rows = [row.text.replace("\u00a0", " ") for row in page.all(".frames tbody tr")]
    assert len(rows) == 30
    assert re.match(r"1 0\.0\d s \d+\.\d % (real|fake|uncertain) (found, 0\.\d\d|none found)", rows[0])
    ticks = [one.get_attribute("textContent").replace("\u00a0", " ") for one in page.all(".plot .tick")]
    assert ticks == ["0 %", "40 %", "60 %", "100 %", "0.0 s", "0.5 s", "1.0 s", "1.5 s"]


def test_frames_that_were_not_scored_are_marked(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    failed = FrameScore(status="DECODE_FAILED")
    scripted.scorer.answer = lambda index: failed if index in (3, 4) else scored(0.2 + index / 50, face=index != 6)
    scripted_page.choose(clip)
    scripted_page.result()
    labels = [one.get_attribute("aria-label").replace("\u00a0", " ") for one in scripted_page.all("[role=option]")]
    assert labels[3].endswith(": not scored, DECODE_FAILED")
    assert labels[6].endswith("fake probability 32.0 %, real, no face found")
    assert len(scripted_page.all(".plot .unscored")) == 2
    assert len(scripted_page.all(".plot .connection")) == 29 - 3  # the line is broken there
    assert "2 not scored" in scripted_page.text(".legend")
    assert scripted_page.facts()["Frames"].startswith("28 scored, 2 not; 27 faces")
    band = [one.get_attribute("class") for one in scripted_page.all(".plot .point")]
    assert band[0] == "point real"
    assert band[-1] == "point fake"


def test_stretches_and_further_frames_stand_on_the_timeline(browser: Chrome, tmp_path: Path) -> None:
    """The first 8 of the first round are suspicious, and of the second: 10 s, a frame every 0.34 s."""
    clip = write_video(tmp_path / "clip.mp4", VideoSpec(frames=250, options={"preset": "ultrafast"}))
    with scripted_gateway(further_frames=30) as scripted:
        scripted.scorer.answer = lambda index: scored(0.9 if index < 8 else 0.1)
        page = Page(browser, scripted.url).open()
        page.choose(clip)
        page.result()
        further = len(page.all("[role=option]")) - 30
        assert 20 < further <= 30
        assert f"{further} further frames" in page.text(".legend")
        assert len(page.all(".frames tbody tr")) == 30 + further
        page.one(".frames summary").click()
        times = [float(row.text.replace("\u00a0", " ").split()[1]) for row in page.all(".frames tbody tr")]
        assert times == sorted(times)
        stretches = page.text(".stretches")
        assert re.match(r"Above the fake band: 0\.0 s to 0\.\d s, person 1", stretches)
        assert len(page.all(".plot .stretch")) == stretches.count(", person ") > 1


def test_a_pointer_over_the_timeline_shows_the_frame(scripted_page: Page, clip: Path) -> None:
    scripted_page.choose(clip)
    scripted_page.result()
    ActionChains(scripted_page.driver).move_to_element(scripted_page.all("[role=option] .strip")[10]).perform()
    assert scripted_page.text(".frame-detail").startswith("Frame 11 at")
