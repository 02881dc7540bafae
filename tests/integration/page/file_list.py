"""The page's list of files, by what people see and do."""

from pathlib import Path

from selenium.webdriver.remote.webelement import WebElement

from tests.integration.page.conftest import Page


def rows(page: Page) -> dict[str, list[str]]:
    """Each file's cells: verdict, fake probability, people, state; in the order shown."""
    found = {}
    for row in page.all("#files tbody tr"):
        name, *cells = (cell.text.replace("\u00a0", " ") for cell in row.find_elements("css selector", "th, td"))
        found[name] = cells
    return found


def states(page: Page) -> list[str]:
    return [row.get_attribute("data-state") or "" for row in page.all("#files tbody tr")]


def idle(page: Page) -> None:
    """Waits until no file waits any more."""
    page.wait_for(lambda: page.all("#files tbody tr") and not page.one("#progress").is_displayed())


def button(page: Page, text: str, within: str = "#files") -> WebElement:
    (found,) = [one for one in page.all(f"{within} button") if one.is_displayed() and one.text.split("\n")[0] == text]
    return found


def opened(page: Page) -> list[str]:
    return [one.text for one in page.all("#files [aria-current=true]")]


def exported(page: Page, name: str, path: Path, within: str = "#files") -> str:
    """What a button saves as that file."""
    button(page, name, within).click()
    page.wait_for(lambda: path.exists() and path.stat().st_size)  # the browser makes an empty one first
    content = path.read_text("utf-8")
    path.unlink()
    return content
