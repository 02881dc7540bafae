"""What every state of the page must hold: keyboard, names, contrast, width, motion, and its policy."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.axe import violations
from tests.browser import accessibility_tree, complaints, emulate, low_contrast, overlapping_texts
from tests.inference_server import DESCRIPTION, FUSED
from tests.integration.page.conftest import Page, running_animations
from tests.media import encode_image, photo
from tests.scripted_gateway import Answer, ScriptedGateway, crowd, fused, scored


def test_everything_works_from_the_keyboard(page: Page, clip: Path, browser_folder: Path) -> None:
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to the content"
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "API reference"
    page.press(Keys.TAB)
    assert page.focused() == "file"
    assert page.one("#file + label").value_of_css_property("outline-style") == "solid"
    page.choose(clip)  # what the system's own file dialog would do
    page.result()
    tab_to(page, lambda focused: focused.get_attribute("role") == "option")
    page.press(Keys.HOME)
    assert page.text(".frame-detail").startswith("Frame 0 at 0.0")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.text(".frame-detail").startswith("Frame 2 at")
    chosen = page.driver.switch_to.active_element
    assert chosen.get_attribute("aria-selected") == "true"
    said = page.text(".frame-detail").replace("\n", ": ")
    assert chosen.get_attribute("aria-label").replace("\u00a0", " ") == said
    assert len(page.all("[role=option][tabindex='0']")) == 1
    page.press(Keys.END)
    assert page.text(".frame-detail").startswith("Frame 29 at")
    tab_to(page, lambda focused: focused.tag_name == "summary")
    page.press(Keys.ENTER)
    assert page.one(".frames").get_attribute("open") is not None
    picture = tab_to(page, lambda focused: focused.get_attribute("class") == "choice")
    page.press(Keys.SPACE)
    assert picture.get_attribute("aria-pressed") == "true"
    tab_to(page, lambda focused: focused.text == "Download result as JSON")
    page.press(Keys.ENTER)
    kept = browser_folder / "downloads" / "clip.mp4.result.json"
    page.wait_for(kept.exists)
    kept.unlink()


def tab_to(page: Page, is_there: Callable[[WebElement], bool]) -> WebElement:
    for _ in range(60):
        page.press(Keys.TAB)
        if is_there(focused := page.driver.switch_to.active_element):
            return focused
    raise AssertionError("the Tab key does not lead there")


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """An image over the limit of the scripted gateway."""
    path = tmp_path / "noise.png"
    path.write_bytes(encode_image(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8), "PNG"))
    return path


def test_the_page_is_complete_for_assistive_technology(scripted_page: Page, clip: Path, noise: Path) -> None:
    assert_accessible(scripted_page)
    scripted_page.choose(clip)
    scripted_page.result()
    scripted_page.one(".frames summary").click()
    assert_accessible(scripted_page)
    roles = [node["role"] for node in accessibility_tree(scripted_page.driver)]
    assert roles.count("option") == 30
    inside = scripted_page.all("[role=listbox] > :not([role=option]):not([aria-hidden=true])")
    assert inside == []
    assert len(scripted_page.all(".frames tr")) == 31
    assert {"listbox", "table", "columnheader", "rowheader", "list", "article", "region"} <= set(roles)
    scripted_page.choose(noise)
    scripted_page.problem()
    assert_accessible(scripted_page)
    assert "alert" in [node["role"] for node in accessibility_tree(scripted_page.driver)]


@dataclass(frozen=True)
class State:
    """A result.

    Attributes:
        answer: From a frame's index to its score.
        is_video: Whether it is a clip's.
        changed: What its release says otherwise.
    """

    answer: Answer
    is_video: bool = False
    changed: dict[str, Any] = field(default_factory=dict)


LONG_NAMES = [
    {**member, "name": f"{member['name']}-deepfake-image-detection-siglip2-base-patch16-512"}
    for member in FUSED["members"]
]
STATES = {
    "one face": State(lambda index: scored(0.91)),
    "four faces": State(lambda index: crowd(0.93, 0.41, 0.22, 0.12)),
    "no face": State(lambda index: scored(0.2, face=False)),
    "uncertain": State(
        lambda index: scored(0.5), changed={"verdict_bands": {"image": {"real_below": 0.8, "fake_above": 0.829}}}
    ),
    "untrained": State(lambda index: scored(0.95), is_video=True, changed={"trained": False}),
    "not assessable": State(lambda index: scored(0.5, face=False), changed={"scope": "face"}),
    "two models": State(
        lambda index: fused(crowd(0.7, 0.5), (0.95, 0.2), (0.6, 0.1)), changed={**FUSED, "members": LONG_NAMES}
    ),
    "two people": State(lambda index: crowd(0.2, 0.9) if index > 9 else crowd(0.2), is_video=True),
}


@pytest.mark.parametrize("name", STATES)
def test_every_result_is_accessible_at_every_width(
    scripted_page: Page, scripted: ScriptedGateway, clip: Path, name: str
) -> None:
    state = STATES[name]
    scripted.scorer.description = DESCRIPTION | state.changed
    scripted.scorer.answer = state.answer
    scripted_page.choose(clip if state.is_video else photo("astronaut.png"))
    scripted_page.result()
    for width, dark in itertools.product((390, 800, 1280, 1920), (False, True)):
        emulate(scripted_page.driver, width, 900, dark=dark)
        if dark is (width in (390, 1280)):  # its rules look at widths or at colours, not at both together
            assert violations(scripted_page.driver) == []
        assert_readable(scripted_page, width)
        assert overlapping_texts(scripted_page.driver, "#result") == []


def test_forced_colours_leave_what_carries_meaning(scripted_page: Page, scripted: ScriptedGateway) -> None:
    emulate(scripted_page.driver, 1280, 900, forced_colors=True)
    scripted.scorer.answer = lambda index: crowd(0.93, 0.41)
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    fills = {one.value_of_css_property("fill") for one in scripted_page.all(".gauge .band")}
    assert len(fills) == 3
    edges = [one.value_of_css_property("border-top-color") for one in scripted_page.all(".people-card button")]
    assert edges[0] != edges[1], "the selected one stands out"
    assert violations(scripted_page.driver) == []


def assert_accessible(page: Page) -> None:
    tree = accessibility_tree(page.driver)
    roles = [node["role"] for node in tree]
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(landmark) == 1, landmark
    named = {
        "button",
        "link",
        "image",
        "img",
        "listbox",
        "option",
        "progressbar",
        "table",
        "region",
        "textbox",
        "alert",
    }
    named -= {"alert"}
    assert [node for node in tree if node["role"] in named and not node["name"].strip()] == []
    levels = [node["level"] for node in tree if node["role"] == "heading"]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(node["name"].strip() for node in tree if node["role"] == "heading")
    assert page.one("html").get_attribute("lang") == "en"
    assert all(one.get_attribute("alt") is not None for one in page.all("img"))
    ids = [one.get_attribute("id") for one in page.all("[id]")]
    assert len(ids) == len(set(ids))
    for one in page.all("[aria-labelledby], [aria-describedby]"):
        for attribute in ("aria-labelledby", "aria-describedby"):
            for name in (one.get_attribute(attribute) or "").split():
                if one.is_displayed():
                    page.one(f"#{name}")
    assert page.driver.execute_script("return document.querySelectorAll('[style]').length") == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_and_nothing_overflows(scripted_page: Page, clip: Path, noise: Path, dark: bool) -> None:
    for width in (1200, 320):
        emulate(scripted_page.driver, width, 900, dark=dark)
        scripted_page.open()
        assert_readable(scripted_page, width)
        scripted_page.choose(clip)
        scripted_page.result()
        scripted_page.one(".frames summary").click()
        assert_readable(scripted_page, width)
        scripted_page.choose(noise)
        scripted_page.problem()
        assert_readable(scripted_page, width)


def assert_readable(page: Page, width_px: int) -> None:
    assert low_contrast(page.driver) == []
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width_px


def test_still_for_those_who_want_no_motion(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    scripted.scorer.gate = threading.Event()
    for reduced, expected in ((False, 1), (True, 0)):
        emulate(scripted_page.driver, 1200, 900, reduced_motion=reduced)
        scripted_page.choose(clip)
        scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
        assert running_animations(scripted_page.driver) == expected


def test_the_policy_stops_what_is_injected(scripted_page: Page, expected_errors: list[str]) -> None:
    """And the watch of the other tests would see it."""
    expected_errors += ["script-src", "style-src", "Content Security Policy", "require-trusted-types"]
    scripted_page.driver.execute_script(
        """
        const script = document.createElement("script");
        script.append("window.injected = true");
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("style", "width: 7px");
        document.body.append(image);
        try {
          image.setAttribute("onerror", "window.injected = true");
        } catch { /* the browser asks for a trusted script */ }
        """
    )
    scripted_page.wait_for(lambda: len(complaints(scripted_page.driver)) >= 3)
    assert scripted_page.driver.execute_script("return window.injected") is None
