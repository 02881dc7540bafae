"""Pictures of the page for the documentation: `python -m tests.docs.make_screenshots http://127.0.0.1:5000/`.

Needs a running service, the development install, and Chromium. Type is set in Inter where that font is installed.
"""

import base64
import io
import sys
import tempfile
from pathlib import Path

import av
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import chromium, emulate
from tests.media import photo
from tests.service import ROOT

FOLDER = ROOT / "docs" / "images"
WIDTH_PX = 1000
MAX_BYTES = 200_000
WAIT_S = 60


def make_clip(path: Path, frames: int = 90, size: tuple[int, int] = (640, 480)) -> Path:
    """A camera that draws back from a portrait."""
    with Image.open(photo("astronaut.png")) as image, av.open(str(path), "w") as container:
        portrait = image.convert("RGB")
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            width = 250 + 250 * number / frames
            height = width * size[1] / size[0]
            left, top = (portrait.width - width) / 2 * number / frames + 90 * (1 - number / frames), 10
            still = portrait.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))
            container.mux(stream.encode(av.VideoFrame.from_image(still)))
        container.mux(stream.encode(None))
    return path


def analyse(driver: Chrome, url: str, media: Path, *, dark: bool) -> None:
    """Opens the page and waits for the result of one file."""
    emulate(driver, WIDTH_PX, 900, dark=dark)
    driver.get(url)
    driver.find_element(By.ID, "file").send_keys(str(media))
    WebDriverWait(driver, WAIT_S).until(
        lambda d: d.execute_script("return document.activeElement.id") == "result-title"
    )
    pictures = "return [...document.images].every((one) => one.complete)"
    WebDriverWait(driver, WAIT_S).until(lambda d: d.execute_script(pictures))


def save(driver: Chrome, name: str, last: str) -> None:
    """The page from its top to the end of the element that `last` selects, in 256 colours."""
    bottom = driver.execute_script(
        "return document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY + 12", last
    )
    clip = {"x": 0, "y": 0, "width": WIDTH_PX, "height": bottom, "scale": 1}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})["data"]
    path = FOLDER / name
    with Image.open(io.BytesIO(base64.b64decode(taken))) as image:
        in_256_colours(image.convert("RGB"), theme_colours(driver)).save(path, optimize=True)
    if path.stat().st_size > MAX_BYTES:
        sys.exit(f"{path} holds {path.stat().st_size} bytes; more than {MAX_BYTES} are too many for the repository")
    print(path.relative_to(ROOT), path.stat().st_size, "bytes")


def theme_colours(driver: Chrome) -> list[str]:
    """The colours of the style sheet, in the mode that is shown."""
    names = ("paper", "card", "ink", "soft", "line", "accent", "real", "fake", "uncertain", "caution-tint")
    script = "return getComputedStyle(document.documentElement).getPropertyValue('--' + arguments[0]).trim()"
    return [driver.execute_script(script, name) for name in names]


def in_256_colours(image: Image.Image, kept: list[str]) -> Image.Image:
    """An image with a palette in which small signs keep their colours beside large photographs."""
    strip_px = 30
    probe = Image.new("RGB", (image.width, image.height + strip_px * len(kept)))
    probe.paste(image)
    for i, colour in enumerate(kept):
        top = image.height + i * strip_px
        probe.paste(colour, (0, top, image.width, top + strip_px))
    return image.quantize(palette=probe.quantize(256), dither=Image.Dither.NONE)


def main() -> None:
    """Makes both pictures."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    url = sys.argv[1].rstrip("/") + "/"
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder), WIDTH_PX) as driver:
        analyse(driver, url, make_clip(Path(folder) / "clip.mp4"), dark=False)
        save(driver, "page-video.png", "[aria-labelledby=workbench-title]")
        analyse(driver, url, photo("astronaut.png"), dark=True)
        save(driver, "page-image.png", ".details")


if __name__ == "__main__":
    main()
