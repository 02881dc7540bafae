"""Several files: the queue that sends them one after another, the list of what became of them, and its exports."""

import csv
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from selenium.webdriver import Keys

from tests import axe
from tests.browser import drop_files, emulate, low_contrast, requested_urls
from tests.integration.page.conftest import Page, pixels
from tests.integration.page.file_list import button, exported, idle, opened, rows, states
from tests.media import encode_image
from tests.scripted_gateway import ScriptedGateway, scored


@pytest.fixture
def pictures(tmp_path: Path, scripted: ScriptedGateway) -> Callable[..., list[Path]]:
    """Makes pictures by name, each with the fake probability that it is to get."""

    def make(**probabilities: float) -> list[Path]:
        scores = {}
        paths = []
        for level, (name, probability) in enumerate(probabilities.items()):
            path = tmp_path / f"{name}.png"
            path.write_bytes(encode_image(np.full((96, 96, 3), 100 + level, np.uint8), "PNG"))
            scores[path.read_bytes()] = probability
            paths.append(path)
        scripted.scorer.answer = lambda index: scored(scores.get(bytes(scripted.scorer.images[index]), 0.5))
        return paths

    return make


def test_several_files_are_analysed_one_after_another(scripted_page: Page, pictures: Callable[..., list[Path]]) -> None:
    scripted_page.choose(*pictures(one=0.91, two=0.12, three=0.5))
    idle(scripted_page)
    assert rows(scripted_page) == {
        "one.png": ["Signs of manipulation", "91.0 %", "1", "Done"],
        "two.png": ["No sign of manipulation found", "12.0 %", "1", "Done"],
        "three.png": ["Inconclusive", "50.0 %", "1", "Done"],
    }
    assert "3 of 3 files analysed." in scripted_page.text("#files")
    assert "this tab only" in scripted_page.text("#files")
    assert opened(scripted_page) == ["one.png"]
    assert scripted_page.facts()["File"] == "one.png"
    assert scripted_page.focused() == "files-title", "the focus was on Cancel, which has gone"
    announced = scripted_page.text("#announcer")
    assert announced.startswith("3 of 3: three.png. ")
    assert announced.endswith(" No file waits any more.")


def test_a_row_opens_its_result(scripted_page: Page, pictures: Callable[..., list[Path]]) -> None:
    scripted_page.choose(*pictures(one=0.91, two=0.12, three=0.5))
    idle(scripted_page)
    button(scripted_page, "two.png").send_keys(Keys.ENTER)
    assert scripted_page.focused() == "result-title"
    assert scripted_page.facts()["File"] == "two.png"
    assert opened(scripted_page) == ["two.png"]
    scripted_page.all("#files tbody .probability")[2].click()
    assert scripted_page.facts()["File"] == "three.png"
    assert opened(scripted_page) == ["three.png"]


def test_what_the_user_opens_stays_open(
    scripted_page: Page, scripted: ScriptedGateway, pictures: Callable[..., list[Path]]
) -> None:
    first, *others = pictures(one=0.91, two=0.12, three=0.5)
    scripted_page.choose(first)
    scripted_page.result()
    scripted.scorer.gate = threading.Event()
    scripted_page.choose(*others)
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    assert opened(scripted_page) == [], "a new analysis closes the result of the last"
    button(scripted_page, "one.png").click()
    scripted.scorer.gate.set()
    idle(scripted_page)
    assert opened(scripted_page) == ["one.png"]


def test_one_file_has_no_list_and_opens_by_itself(scripted_page: Page, pictures: Callable[..., list[Path]]) -> None:
    first, second = pictures(one=0.91, two=0.12)
    scripted_page.choose(first)
    scripted_page.result()
    assert not scripted_page.one("#files").is_displayed()
    scripted_page.choose(second)
    scripted_page.result()
    assert scripted_page.facts()["File"] == "two.png"
    assert opened(scripted_page) == ["two.png"]


def test_a_second_drop_waits_for_the_first(
    scripted_page: Page, scripted: ScriptedGateway, pictures: Callable[..., list[Path]]
) -> None:
    """The page shows at once how many wait: its clock, which shows it ten times a second, is stopped."""
    scripted.scorer.gate = threading.Event()
    first, *others = pictures(one=0.91, two=0.12, three=0.5)
    scripted_page.choose(first)
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    scripted_page.driver.execute_script("for (let id = 1; id < 1000; id++) clearInterval(id)")
    drop_files(scripted_page.driver, others, 300, 300)
    scripted_page.wait_for(lambda: states(scripted_page) == ["analysing", "waiting", "waiting"])
    assert scripted_page.text("#progress h2") == "one.png"
    assert "2 more files wait." in scripted_page.text("#progress")
    assert scripted_page.text("#announcer") == "2 files added to the queue."
    assert scripted_page.focused() == "cancel"
    scripted.scorer.gate.set()
    idle(scripted_page)
    assert states(scripted_page) == ["done", "done", "done"]


def test_each_can_be_cancelled_and_all(
    scripted_page: Page, scripted: ScriptedGateway, pictures: Callable[..., list[Path]]
) -> None:
    scripted.scorer.gate = threading.Event()
    scripted_page.choose(*pictures(one=0.9, two=0.9, three=0.9, four=0.9, five=0.9))
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    scripted_page.all("#files tbody .state button")[1].click()
    scripted_page.wait_for(lambda: states(scripted_page)[1] == "cancelled")
    assert scripted_page.text("#announcer") == "1 of 5: two.png. Cancelled."
    scripted_page.press(Keys.ESCAPE)
    scripted_page.wait_for(
        lambda: states(scripted_page) == ["cancelled", "cancelled", "analysing", "waiting", "waiting"]
    )
    button(scripted_page, "Cancel all").click()
    idle(scripted_page)
    assert states(scripted_page) == ["cancelled"] * 5
    assert scripted_page.focused() == "files-title"
    scripted.scorer.gate.set()
    button(scripted_page, "Try again", ".list-actions").click()
    scripted_page.wait_for(lambda: states(scripted_page) == ["done"] * 5)


def test_broken_files_do_not_stop_the_others(
    scripted_page: Page, pictures: Callable[..., list[Path]], tmp_path: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("/detect - Failed to load resource.*(415|422)")
    broken, text, large = tmp_path / "broken.mp4", tmp_path / "notes.txt", pixels(tmp_path / "large.png")
    broken.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(1000))
    text.write_text("plain text")
    large.write_bytes(large.read_bytes() + bytes(2_000_000))
    one, two = pictures(one=0.91, two=0.12)
    requested_urls(scripted_page.driver)
    scripted_page.choose(broken, one, large, text, two)
    idle(scripted_page)
    assert states(scripted_page) == ["failed", "done", "failed", "failed", "done"]
    assert "2 of 5 files analysed, 3 failed." in scripted_page.text("#files")
    assert rows(scripted_page)["large.png"][-1] == "Failed: Too large"
    assert rows(scripted_page)["notes.txt"][-1] == "Failed: Unsupported media"
    assert len([url for url in requested_urls(scripted_page.driver) if url.endswith("/detect")]) == 4
    assert opened(scripted_page) == ["one.png"], "the first that has a result"
    button(scripted_page, "large.png").click()
    assert scripted_page.focused() == "problem-title"
    assert scripted_page.facts() == {"File": "large.png", "Code": "FILE_TOO_LARGE"}
    assert [
        one for one in scripted_page.all(".list-actions button") if one.text == "Try again" and one.is_displayed()
    ] == []


def test_what_failed_is_tried_again(
    scripted_page: Page, scripted: ScriptedGateway, pictures: Callable[..., list[Path]], expected_errors: list[str]
) -> None:
    expected_errors.append("Failed to load resource.*503")
    scripted.scorer.away = True
    scripted_page.choose(*pictures(one=0.91, two=0.12))
    idle(scripted_page)
    assert states(scripted_page) == ["failed", "failed"]
    scripted.scorer.away = False
    scripted_page.all("#files tbody .state button")[0].click()
    scripted_page.result()
    assert states(scripted_page) == ["done", "failed"]
    button(scripted_page, "two.png").click()
    assert scripted_page.facts()["Code"] == "MODEL_UNAVAILABLE"
    button(scripted_page, "Try again", "#problem").click()
    scripted_page.result()
    assert states(scripted_page) == ["done", "done"]
    assert opened(scripted_page) == ["two.png"]


def test_a_folder_is_read_with_all_in_it(
    scripted_page: Page, pictures: Callable[..., list[Path]], tmp_path: Path
) -> None:
    folder = make_folder(tmp_path, pictures(one=0.91, two=0.12))
    drop_files(scripted_page.driver, [folder], 300, 300)
    idle(scripted_page)
    assert list(rows(scripted_page)) == ["holiday/day 2/one.png", "holiday/day 10/two.png"]
    assert scripted_page.text("#hint") == "Left out, as neither an image nor a video: 2 .txt, 1 without a suffix."


def test_a_folder_can_be_chosen(scripted_page: Page, pictures: Callable[..., list[Path]], tmp_path: Path) -> None:
    folder = make_folder(tmp_path, pictures(one=0.91, two=0.12))
    scripted_page.one("#folder").send_keys(str(folder))
    idle(scripted_page)
    assert sorted(rows(scripted_page)) == ["holiday/day 10/two.png", "holiday/day 2/one.png"]
    assert "2 .txt" in scripted_page.text("#hint")


def make_folder(parent: Path, files: list[Path]) -> Path:
    """A folder in which two pictures, three other files and several hidden ones lie."""
    folder = parent / "holiday"
    for name in ("day 2", "day 10", ".thumbnails"):
        (folder / name).mkdir(parents=True)
    files[0].rename(folder / "day 2" / files[0].name)
    files[1].rename(folder / "day 10" / files[1].name)
    for name in ("notes.txt", "day 2/more.TXT", "LICENSE", ".hidden.png", ".thumbnails/a.png"):
        (folder / name).write_text("text")
    return folder


def test_a_folder_of_many_files_is_read_completely(scripted_page: Page, tmp_path: Path) -> None:
    """A browser gives about a hundred names at a time."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(230):
        (folder / f"{number}.txt").write_text("text")
    drop_files(scripted_page.driver, [folder], 300, 300)
    scripted_page.wait_for(lambda: scripted_page.text("#hint"))
    assert scripted_page.text("#hint") == (
        "No image and no video was found. Left out, as neither an image nor a video: 230 .txt."
    )


def test_heads_sort_the_list(
    scripted_page: Page, pictures: Callable[..., list[Path]], tmp_path: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("/detect - Failed to load resource.*415")
    text = tmp_path / "notes.txt"
    text.write_text("plain text")
    scripted_page.choose(text, *pictures(file10=0.5, file9=0.91, other=0.12))
    idle(scripted_page)

    def sorted_by(head: str) -> list[str]:
        button(scripted_page, head).click()
        return [name.removesuffix(".png") for name in rows(scripted_page)]

    assert sorted_by("Fake probability") == ["file9", "file10", "other", "notes.txt"]
    heads = scripted_page.all("#files thead th")
    assert [one.get_attribute("aria-sort") for one in heads] == [None, None, "descending", None, None]
    assert sorted_by("Fake probability") == ["other", "file10", "file9", "notes.txt"], "without a value: last"
    assert heads[2].get_attribute("aria-sort") == "ascending"
    assert sorted_by("File") == ["file9", "file10", "notes.txt", "other"]
    assert sorted_by("Verdict") == ["file9", "file10", "other", "notes.txt"]
    assert sorted_by("State")[-1] == "notes.txt"
    assert scripted_page.driver.switch_to.active_element.text == "State"


def test_a_row_keeps_the_focus_while_it_moves(
    scripted_page: Page, scripted: ScriptedGateway, pictures: Callable[..., list[Path]]
) -> None:
    scripted.scorer.gate = threading.Event()
    scripted_page.choose(*pictures(one=0.9, two=0.9, three=0.9))
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    button(scripted_page, "State").click()
    cancel = scripted_page.all("#files tbody .state button")[2]
    scripted_page.driver.execute_script("arguments[0].focus()", cancel)
    scripted_page.press(Keys.ESCAPE)
    scripted_page.wait_for(lambda: list(rows(scripted_page)) == ["two.png", "three.png", "one.png"])
    assert scripted_page.driver.switch_to.active_element == cancel


def test_exports_hold_what_the_api_answers(
    scripted_page: Page,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    browser_folder: Path,
    expected_errors: list[str],
) -> None:
    expected_errors.append("/detect - Failed to load resource.*415")
    text = tmp_path / '=1+1, "notes".txt'
    text.write_text("plain text")
    paths = pictures(one=0.912345, two=0.12)
    scripted_page.choose(*paths, text)
    idle(scripted_page)
    answers = [post(scripted_page, path) for path in paths]
    listed = json.loads(exported(scripted_page, "Export JSON", browser_folder / "downloads" / "results.json"))
    assert [one["file"] for one in listed] == ["one.png", "two.png", text.name]
    assert [comparable(one["answer"]) for one in listed[:2]] == [comparable(one) for one in answers]
    assert listed[2]["error"]["code"] == "UNSUPPORTED_MEDIA"
    content = exported(scripted_page, "Export CSV", browser_folder / "downloads" / "results.csv")
    one, two, failed = csv.DictReader(content.splitlines())
    assert [one["headline"], two["headline"]] == ["Signs of manipulation", "No sign of manipulation found"]
    for row, answer in zip((one, two), answers, strict=True):
        metadata = answer["metadata"]
        assert float(row["fake_probability"]) == answer["confidence_score"]
        assert (row["sha256"], row["input_type"], row["result"]) == (metadata["sha256"], "image", answer["result"])
        assert row["headline"] == metadata["statement"]["headline"]
        assert (row["assessable"], row["people"]) == ("true", str(metadata["people_found"]))
        assert row["findings"].split() == [finding["code"] for finding in metadata["findings"]]
        assert row["model_version"] == answer["model_version"]
        assert row["error_code"] == row["error_message"] == ""
        assert float(row["processing_time_seconds"]) >= 0
    assert failed["file"] == f"'{text.name}"
    assert failed["error_code"] == "UNSUPPORTED_MEDIA"
    assert failed["error_message"].startswith("file: a text file; send an image (JPEG,")
    assert failed["fake_probability"] == ""


def post(page: Page, path: Path) -> dict[str, Any]:
    """The API's own answer, asked for as the page asks."""
    include = [("include", name) for name in ("thumbnails", "crops", "scores", "models", "stability", "further_frames")]
    with path.open("rb") as file:
        return requests.post(f"{page.url}detect", data=include, files={"file": file}, timeout=60).json()


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "processing_time_seconds"}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_list_is_accessible_at_every_width(
    scripted_page: Page,
    scripted: ScriptedGateway,
    pictures: Callable[..., list[Path]],
    tmp_path: Path,
    expected_errors: list[str],
    dark: bool,
) -> None:
    expected_errors.append("/detect - Failed to load resource.*415")
    text = tmp_path / "a name that is long and goes on for a while without an end in sight.txt"
    text.write_text("plain text")
    first, second, third = pictures(one=0.91, two=0.12, three=0.5)
    scripted_page.choose(text, first, second)
    idle(scripted_page)
    scripted.scorer.gate = threading.Event()
    scripted_page.choose(third, first)
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    for width_px in (390, 800, 1280, 1920):
        emulate(scripted_page.driver, width_px, 900, dark=dark)
        assert axe.violations(scripted_page.driver) == []
        assert low_contrast(scripted_page.driver) == []
        assert scripted_page.driver.execute_script("return document.documentElement.scrollWidth") <= width_px
        table = scripted_page.one("#files .rows")
        assert table.get_property("scrollWidth") <= table.get_property("clientWidth")
