"""The result of a video: player, timeline, pictures and table, which show one selected frame and person."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import av
import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.remote.webelement import WebElement

from deepfake_client.scorer import Face, FrameScore
from tests.browser import drop_files, emulate
from tests.integration.page.conftest import Page
from tests.media import VideoSpec, add_sound, numbered_frames, write_video
from tests.scripted_gateway import ScriptedGateway, scored, scripted_gateway

RATE = 25
LARGE, SMALL = (40.0, 30.0, 140.0, 150.0), (200.0, 40.0, 280.0, 120.0)

SHOWN_NUMBER = """
const video = document.querySelector(".player video");
const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
const context = canvas.getContext("2d", { willReadFrequently: true });
context.drawImage(video, 0, 0);
let number = 0;
for (let bit = 0; bit < 16; bit++) number = 2 * number + (context.getImageData(16 * bit + 8, 8, 1, 1).data[1] > 128);
return number;
"""
"""Reads the number that tests.media burns into each frame off the picture that the player shows."""

PLAY_AND_WATCH = """
window.added = 0;
const watch = (changes) => changes.forEach(({ addedNodes }) => (window.added += addedNodes.length));
new MutationObserver(watch).observe(document.querySelector(".player"), { childList: true });
document.querySelector("video").playbackRate = 0.25;
document.querySelector("video").play();
"""
"""Plays slowly, and counts what is laid over the picture meanwhile."""


class Workbench:
    """The workbench of the video that a page shows."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def options(self) -> list[WebElement]:
        return self.page.all(".plot [role=option]")

    def labels(self) -> list[str]:
        return [one.get_attribute("aria-label").replace("\u00a0", " ") for one in self.options()]

    def time_s(self, index: int) -> float:
        """Of a frame, as its label says it."""
        (label,) = [label for label in self.labels() if label.startswith(f"Frame {index} at ")]
        return float(label.split()[3])

    def click(self, index: int) -> None:
        hit = self.page.one(f".plot [data-frame='{index}'] .hit")
        self.page.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", hit)
        ActionChains(self.page.driver).move_to_element(hit).click().perform()

    def press(self, label: str) -> None:
        self.page.one(f"button[aria-label='{label}']").click()

    def shows(self, index: int) -> None:
        """Waits until a frame is selected everywhere, and is the picture in the player."""
        number = round(self.time_s(index) * RATE)
        self.page.wait_for(lambda: self.page.text(".frame-detail").startswith(f"Frame {index} at "))
        selected = self.page.all(".plot [aria-selected=true]")
        assert [one.get_attribute("data-frame") for one in selected] == [str(index)]
        self.page.wait_for(lambda: self.page.driver.execute_script(SHOWN_NUMBER) == number)
        self.page.wait_for(lambda: abs(self.playhead() - self.place(index)) < 0.01)

    def place(self, index: int) -> float:
        """Where a frame's point stands on the plot, 0-1."""
        return percent(self.page.one(f".plot [data-frame='{index}'] .guide"))

    def playhead(self) -> float:
        return percent(self.page.one(".playhead"))

    def faces(self) -> list[str]:
        """What is written at the faces over the player."""
        return [one.get_attribute("textContent").replace("\u00a0", " ") for one in self.page.all(".player .face")]


def percent(line: WebElement) -> float:
    return float(line.get_attribute("x1").removesuffix("%")) / 100


def open_clip(page: Page, clip: Path) -> Workbench:
    page.choose(clip)
    page.result()
    return Workbench(page)


def two_people(away: Sequence[int] = ()) -> Callable[[int], FrameScore]:
    """A calm person with the larger face, and one who is forged in the frames 10 to 14 and missing in others."""

    def answer(index: int) -> FrameScore:
        calm, forged = Face(LARGE, 0.9, 0.1), Face(SMALL, 0.9, 0.95 if 10 <= index <= 14 else 0.3)
        return replace(scored(0.1), faces=(calm,) if index in away else (calm, forged))

    return answer


def test_a_dropped_video_is_analysed(page: Page, clip: Path) -> None:
    box = page.one("#chooser").rect
    drop_files(page.driver, [clip], int(box["x"] + 50), int(box["y"] + 50))
    page.result()
    assert page.text("#result-title") == "No verdict: the model is untrained"
    assert len(page.all(".plot [role=option]")) == 30
    assert page.facts()["Frames"].startswith("30 scored; ")
    assert page.facts()["Content"].startswith("MP4 video")
    assert len(page.all(".scores dt")) == 6
    page.one(".frames summary").click()
    rows = [row.text.replace("\u00a0", " ") for row in page.all(".frames tbody tr")]
    assert len(rows) == 30
    assert re.match(r"0 0\.0\d s (\d|none) (\d+\.\d %|not seen)", rows[0])
    ticks = [one.get_attribute("textContent").replace("\u00a0", " ") for one in page.all(".plot .tick")]
    assert ticks == ["100 %", "60 %", "40 %", "0 %", "0.0 s", "0.5 s", "1.0 s", "1.5 s"]


def test_a_click_on_the_plot_moves_the_player_there(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    scripted.scorer.answer = lambda index: scored(0.9 if index == 21 else 0.2)
    bench = open_clip(scripted_page, clip)
    bench.shows(21)  # the most suspicious one, with which it opens
    for index in (10, 29, 0):
        bench.click(index)
        bench.shows(index)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_time_counts_from_the_first_frame(scripted_page: Page, tmp_path: Path, suffix: str) -> None:
    """The file's own time begins at one second, which the browser keeps."""
    spec = VideoSpec(frames=50, times_s=[1 + number / RATE for number in range(50)])
    bench = open_clip(scripted_page, write_video(tmp_path / f"late.{suffix}", spec))
    for index in (29, 25, 11):
        bench.click(index)
        bench.shows(index)
    shown_s = scripted_page.driver.execute_script("return document.querySelector('video').currentTime")
    assert shown_s == pytest.approx(1 + bench.time_s(11), abs=0.01)


def test_keys_and_buttons_step_over_the_sampled_frames(scripted_page: Page, clip: Path) -> None:
    bench = open_clip(scripted_page, clip)
    bench.click(4)
    scripted_page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    bench.shows(6)
    scripted_page.press(Keys.ARROW_LEFT)
    bench.shows(5)
    scripted_page.press(Keys.END)
    bench.shows(29)
    assert scripted_page.one("button[aria-label='Next sampled frame']").get_attribute("disabled")
    scripted_page.press(Keys.HOME)
    bench.shows(0)
    bench.press("Next sampled frame")
    bench.shows(1)
    scripted_page.press(".", ".", ",")
    bench.shows(2)


def test_the_playhead_and_the_selection_follow_the_player(scripted_page: Page, clip: Path) -> None:
    bench = open_clip(scripted_page, clip)
    bench.click(0)
    bench.shows(0)
    scripted_page.wait_for(bench.faces)
    driver = scripted_page.driver
    driver.execute_script(PLAY_AND_WATCH)
    scripted_page.wait_for(lambda: 0.1 < bench.playhead() < 0.9)
    assert driver.execute_script("return window.added") == 0, "faces would lag behind the picture"
    driver.execute_script("document.querySelector('video').pause()")
    place, selected = bench.playhead(), int(scripted_page.one(".plot [aria-selected=true]").get_attribute("data-frame"))
    assert bench.place(selected) <= place + 0.001
    assert bench.place(selected + 1) > place
    bench.click(selected)  # the player has moved on, and comes back
    bench.shows(selected)
    driver.execute_script("document.querySelector('video').currentTime = 1.0")
    scripted_page.wait_for(lambda: abs(bench.playhead() - 1.0 / bench.time_s(29)) < 0.01)


def test_a_segment_leads_to_its_first_frame_and_person(
    scripted_page: Page, scripted: ScriptedGateway, clip: Path
) -> None:
    scripted.scorer.answer = two_people()
    bench = open_clip(scripted_page, clip)
    bench.click(20)
    (button,) = scripted_page.all(".segments button")
    assert re.fullmatch(r"0\.\d s to \d\.\d s, person 2, mean 95\.0 %", button.text.replace("\u00a0", " "))
    assert button.get_attribute("aria-current") == "false"
    button.click()
    bench.shows(10)
    assert button.get_attribute("aria-current") == "true"
    assert len(scripted_page.all(".plot .segment")) == 1


def test_a_stretch_that_begins_and_ends_at_one_time_is_a_moment(
    scripted_page: Page, scripted: ScriptedGateway, clip: Path
) -> None:
    scripted.scorer.answer = lambda index: scored(0.9 if index == 3 else 0.1)
    open_clip(scripted_page, clip)
    (button,) = scripted_page.all(".segments button")
    assert button.text.replace("\u00a0", " ") == "at 0.2 s, mean 90.0 %"


def test_each_person_has_a_timeline_with_gaps(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    scripted.scorer.answer = two_people(away=(20, 21, 22))
    bench = open_clip(scripted_page, clip)
    assert bench.labels()[12].endswith(", person 2: 95.0 % fake probability, signs")
    assert bench.labels()[21].endswith(", person 2: not seen")
    assert len(scripted_page.all(".plot .point")) == 27
    assert len(scripted_page.all(".plot .connection")) == 29 - 4
    assert "who decides" in scripted_page.text(".legend")
    assert "3 frames without person 2" in scripted_page.text(".legend")
    scripted_page.wait_for(lambda: bench.faces() == ["110.0 %", "295.0 %"])


def test_frames_that_were_not_scored_are_marked(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    failed = FrameScore(status="DECODE_FAILED")
    scripted.scorer.answer = lambda index: failed if index in (3, 4) else scored(0.2 + index / 50, face=False)
    bench = open_clip(scripted_page, clip)
    assert bench.labels()[3].endswith(": not scored, DECODE_FAILED")
    assert bench.labels()[6].endswith(": 32.0 % fake probability, no sign, no face found")
    assert len(scripted_page.all(".plot .unscored")) == 2
    assert len(scripted_page.all(".plot .connection")) == 29 - 3  # the line is broken there
    assert "2 not scored" in scripted_page.text(".legend")
    assert scripted_page.facts()["Frames"].startswith("28 scored, 2 not; ")
    band = [one.get_attribute("class") for one in scripted_page.all(".plot .point")]
    assert band[0] == "point real"
    assert band[-1] == "point fake"


def test_segments_and_further_frames_stand_on_the_timeline(browser: Chrome, tmp_path: Path) -> None:
    """The first 8 of the first round are suspicious, and of the second: 10 s, a frame every 0.34 s."""
    clip = write_video(tmp_path / "clip.mp4", VideoSpec(frames=250, options={"preset": "ultrafast"}))
    with scripted_gateway(further_frames=30) as scripted:
        scripted.scorer.answer = lambda index: scored(0.9 if index < 8 else 0.1)
        page = Page(browser, scripted.url).open()
        bench = open_clip(page, clip)
        further = len(bench.options()) - 30
        assert 20 < further <= 30
        assert f"{further} further frames" in page.text(".legend")
        page.one(".frames summary").click()
        times = [float(row.text.replace("\u00a0", " ").split()[1]) for row in page.all(".frames tbody tr")]
        assert len(times) == 30 + further
        assert times == sorted(times)
        whose = page.text(".frame-detail").split("\n")[0].split(", ")[-1]
        buttons = [one for one in page.all(".segments button") if whose in one.text]
        assert len(page.all(".plot .segment")) == len(buttons) > 1
        bench.click(40)
        bench.shows(40)


def test_faces_lie_where_the_picture_shows_them(browser: Chrome, scripted: ScriptedGateway, tmp_path: Path) -> None:
    """Of a turned video, on a window so low that the picture does not fill the player's width."""
    emulate(browser, 900, 500)
    scripted.scorer.answer = two_people()
    clip = write_video(tmp_path / "turned.mp4", VideoSpec(frames=40, size=(320, 480), rotation=90))
    page = Page(browser, scripted.url).open()
    bench = open_clip(page, clip)
    page.wait_for(lambda: len(bench.faces()) == 2)
    video = page.one(".player video").rect
    scale = min(video["width"] / 320, video["height"] / 480)
    left, top = (video[side] - size * scale for side, size in (("width", 320), ("height", 480)))
    box = page.one(".player .face.selected .line").rect
    x0, y0, x1, _ = SMALL
    assert box["x"] - video["x"] == pytest.approx(left / 2 + x0 * scale, abs=8)
    assert box["y"] - video["y"] == pytest.approx(top / 2 + y0 * scale, abs=8)
    assert box["width"] == pytest.approx((x1 - x0) * scale, abs=16)


def write_unplayable(path: Path) -> Path:
    """MPEG-4 Part 2, which browsers do not decode, beside sound, which they do; or an animated picture."""
    pictures = list(numbered_frames(20, 320, 240))
    if path.suffix == ".gif":
        first, *others = map(Image.fromarray, pictures)
        first.save(path, save_all=True, append_images=others, duration=40)
        return path
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        frames = [av.VideoFrame.from_ndarray(pixels, format="rgb24") for pixels in pictures]
        packets = [packet for frame in [*frames, None] for packet in video.encode(frame)]
        add_sound(container)
        container.mux(packets)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_what_the_browser_cannot_play_is_shown_in_pictures(
    scripted_page: Page, scripted: ScriptedGateway, tmp_path: Path, suffix: str
) -> None:
    scripted.scorer.answer = two_people()
    bench = open_clip(scripted_page, write_unplayable(tmp_path / f"clip.{suffix}"))
    scripted_page.wait_for(lambda: scripted_page.all(".strip"))
    assert not scripted_page.all("video")
    pictures = scripted_page.all(".strip [role=option]")
    assert len(pictures) == len(bench.options()), "every scored frame"
    pictures[0].click()
    index = pictures[0].get_attribute("data-frame")
    assert scripted_page.one(".player img").get_attribute("alt").startswith(f"Frame {index} at ")
    assert scripted_page.one(".plot [aria-selected=true]").get_attribute("data-frame") == index
    assert len(bench.faces()) == 2
    scripted_page.press(Keys.ARROW_RIGHT)
    assert pictures[1].get_attribute("aria-selected") == "true"


def test_the_axis_has_one_unit(scripted_page: Page, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", VideoSpec(frames=31, times_s=[number * 5 for number in range(31)]))
    open_clip(scripted_page, clip)
    marks = [one.get_attribute("textContent") for one in scripted_page.all(".plot .mark .tick")]
    assert marks == ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30"]
