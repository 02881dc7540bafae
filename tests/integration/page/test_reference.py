"""The reference at /docs."""

from selenium.common.exceptions import NoSuchElementException
from selenium.webdriver import Chrome

from tests.browser import emulate, low_contrast
from tests.integration.page.conftest import Page, running_animations
from tests.media import photo
from tests.scripted_gateway import ScriptedGateway
from tests.service import Service


def test_the_reference_is_rendered_and_can_be_tried(browser: Chrome, service: Service) -> None:
    reference = Page(browser, service.url + "/").open("docs")
    reference.wait_for(lambda: len(reference.all(".opblock")) == 4)
    paths = [one.text.replace("\u200b", "") for one in reference.all(".opblock-summary-path")]
    assert paths == ["/api/v1/inference", "/detect", "/health", "/model-card"]
    assert reference.text(".info .title").startswith("Deepfake detection")
    reference.all(".opblock-summary-control")[1].click()
    reference.wait_for(lambda: reference.all(".try-out__btn"))
    assert {"400", "413", "415", "422", "500", "503", "504"} <= {
        one.text for one in reference.all(".responses-table .response-col_status")
    }
    reference.one(".try-out__btn").click()
    reference.one("input[type=file]").send_keys(str(photo("coffee.png")))
    reference.one(".btn.execute").click()
    reference.wait_for(lambda: "seeded-untrained" in live_answer(reference))
    assert '"input_type": "image"' in live_answer(reference)


def live_answer(reference: Page) -> str:
    try:
        return reference.text(".live-responses-table .highlight-code")
    except NoSuchElementException:
        return ""


def test_the_reference_is_readable_and_follows_the_system(browser: Chrome, scripted: ScriptedGateway) -> None:
    reference = Page(browser, scripted.url).open("docs")
    reference.wait_for(lambda: len(reference.all(".opblock")) == 4)
    for one in reference.all(".opblock-summary-control"):
        one.click()
    reference.wait_for(lambda: len(reference.all(".opblock-body")) == 4)
    for dark in (False, True):
        emulate(browser, 1200, 900, dark=dark)
        reference.wait_for(lambda dark=dark: bool(reference.all("html.dark-mode")) == dark)
        reference.wait_for(lambda: running_animations(browser) == 0)  # links change colour slowly
        assert low_contrast(browser) == []
        ground = reference.one("body").value_of_css_property("background-color")
        assert ground == ("rgba(18, 19, 23, 1)" if dark else "rgba(247, 246, 242, 1)")
