"""Makes docs/images/evidence.png: an evidence report over made-up scores, as a browser shows it.

Needs Chromium: `apt-get install --no-install-recommends chromium fonts-dejavu-core`. Run it as
`python -m tests.docs.make_evidence_picture`.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

from deepfake_client import build_evidence, evidence_html
from preprocessing import STATUS_TABLE
from tests.client.evidence.cases import MODEL, made_output
from tests.service import ROOT

PICTURE = ROOT / "docs" / "images" / "evidence.png"
SIZE_PX = (1000, 1815)
SPARE_PX = 200  # headless Chromium leaves the bottom of a screenshot out now and then
SCORES = [
    0.24, 0.28, 0.25, 0.34, 0.31, 0.28, 0.37, 0.35, 0.39, 0.44, 0.52, 0.76, 0.86, 0.91, 0.80, 0.58, "DECODE_FAILED",
    "DECODE_FAILED", 0.41, 0.36, 0.42, 0.47, 0.68, 0.72, 0.50, 0.41, 0.38, 0.36, 0.39, 0.37,
]  # fmt: skip
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


def main() -> None:
    """Renders the report and shrinks the picture's colours."""
    statuses = {int(code): (row.name, row.meaning) for code, row in STATUS_TABLE.items()}
    model = replace(MODEL, statuses=statuses, notice="Made-up scores, for the picture in the documentation.")
    evidence = build_evidence(made_output(SCORES, model=model, without_face=[27, 28, 29]), "interview.mp4")
    browser = shutil.which("chromium") or sys.exit("this needs Chromium")
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder, "report.html"), Path(folder, "shot.png")
        page.write_text(evidence_html(evidence), encoding="utf-8")
        size = f"{SIZE_PX[0]},{SIZE_PX[1] + SPARE_PX}"
        command = [
            browser,
            *_FLAGS,
            f"--user-data-dir={folder}/profile",
            f"--window-size={size}",
            f"--screenshot={shot}",
        ]
        subprocess.run([*command, page.as_uri()], check=True, stderr=subprocess.DEVNULL, timeout=120)
        PICTURE.parent.mkdir(exist_ok=True)
        with Image.open(shot) as image:
            cropped = image.convert("RGB").crop((0, 0, *SIZE_PX))
            cropped.quantize(256, kmeans=8).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
