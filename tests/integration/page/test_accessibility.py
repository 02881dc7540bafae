"""What every state of the page must hold: keyboard, names, contrast, width, motion, and its policy."""

import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import Keys

from tests.browser import accessibility_tree, complaints, emulate, low_contrast
from tests.integration.page.conftest import Page, running_animations
from tests.media import encode_image
from tests.scripted_gateway import ScriptedGateway


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
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Download result as JSON"
    page.press(Keys.ENTER)
    kept = browser_folder / "downloads" / "clip.mp4.result.json"
    page.wait_for(kept.exists)
    kept.unlink()
    page.press(Keys.TAB)
    option = page.driver.switch_to.active_element
    assert option.get_attribute("role") == "option"
    page.press(Keys.HOME)
    assert page.text(".frame-detail").startswith("Frame 1 at 0.0")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.text(".frame-detail").startswith("Frame 3 at")
    chosen = page.driver.switch_to.active_element
    assert chosen.get_attribute("aria-selected") == "true"
    assert chosen.get_attribute("aria-label").replace("\u00a0", " ") == page.text(".frame-detail")
    assert len(page.all("[role=option][tabindex='0']")) == 1
    page.press(Keys.END)
    assert page.text(".frame-detail").startswith("Frame 30 at")
    page.press(Keys.TAB, Keys.ENTER)
    assert page.one(".frames").get_attribute("open") is not None


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
    assert roles.count("row") == 31
    assert {"listbox", "table", "columnheader", "rowheader", "figure", "list", "article", "region"} <= set(roles)
    scripted_page.choose(noise)
    scripted_page.problem()
    assert_accessible(scripted_page)
    assert "alert" in [node["role"] for node in accessibility_tree(scripted_page.driver)]


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
