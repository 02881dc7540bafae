"""A release whose golden images expect other scores than it gives, and whose hashes match all the same."""

import json
import shutil
from pathlib import Path

from export.release import Release, hashed_files, read_release, release_id_of


def wrongly_golden(release: Release, releases: Path) -> Release:
    """A copy in a folder of releases that expects each image's score to be 0.3 closer to 0.5."""
    copy = releases / "wrong"
    shutil.copytree(release.path, copy)
    path = copy / "golden" / "golden.json"
    golden = json.loads(path.read_text())
    for image in golden["images"]:
        image["fake_probability"] += 0.3 if image["label"] == "real" else -0.3
    path.write_text(json.dumps(golden))
    manifest = json.loads((copy / "release.json").read_text())
    manifest["files"] = hashed_files(copy)
    new_id = release_id_of(manifest["description"], manifest["files"])
    config = copy / "model_repository" / "deepfake_detector" / "config.pbtxt"
    config.write_text(config.read_text().replace(release.release_id, new_id))
    manifest["release_id"] = new_id
    (copy / "release.json").write_text(json.dumps(manifest))
    return read_release(copy.rename(releases / new_id))
