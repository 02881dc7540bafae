"""Makes docs/images/evidence.png: an evidence report over made-up scores, as a browser shows it.

Needs the development install and Chromium with its driver. Run it as `python -m tests.docs.make_evidence_picture`.
"""

import base64
import io
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from deepfake_client import build_evidence, evidence_html
from tests.browser import chromium, emulate
from tests.client.evidence.full import CASE, full_video
from tests.service import ROOT

PICTURE = ROOT / "docs" / "images" / "evidence.png"
WIDTH_PX = 1000
_BOTTOM = "return document.getElementById('key-frames').parentElement.getBoundingClientRect().bottom + 16"


def main() -> None:
    """Renders the report down to its key frames, and shrinks the picture's colours."""
    made_at = datetime(2026, 3, 12, 16, 40, tzinfo=UTC)
    evidence = build_evidence(full_video(), "interview.mp4", case=CASE, created_at=made_at)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as driver:
        page = Path(folder, "report.html")
        page.write_text(evidence_html(evidence), encoding="utf-8")
        emulate(driver, WIDTH_PX, 900)
        driver.get(page.as_uri())
        clip = {"x": 0, "y": 0, "width": WIDTH_PX, "height": driver.execute_script(_BOTTOM), "scale": 1}
        taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})["data"]
    with Image.open(io.BytesIO(base64.b64decode(taken))) as image:
        image.convert("RGB").quantize(256, kmeans=8).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
