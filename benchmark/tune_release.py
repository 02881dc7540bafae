"""A release served in another way: the same files, linked, with another plan in its models' configs."""

import json
import os
import shutil
from pathlib import Path

from benchmark.tune_search import Configuration
from export.model_config import TEMPLATES, ServingPlan, read_config, render_config
from export.release import COMPANIONS, REPOSITORY, Release, hashed_files, open_partial, promote, publish, release_id_of
from export.release import served_description as served
from export.repository import describe_ensemble

CONFIG = "config.pbtxt"


def configuration_of(release: Release, chunk_frames: int) -> Configuration:
    """How a release is served now."""
    preprocess, classifier = (read_config(release.repository / name / CONFIG) for name in ("preprocess", "classifier"))
    (preferred,) = classifier.dynamic_batching.preferred_batch_size
    return Configuration(
        preprocess_instances=preprocess.instance_group[0].count,
        classifier_instances=classifier.instance_group[0].count,
        cores_per_instance=int(classifier.parameters["cores_per_instance"].string_value),
        preferred_batch=preferred,
        queue_delay_us=classifier.dynamic_batching.max_queue_delay_microseconds,
        chunk_frames=chunk_frames,
    )


def planned_release(release: Release, configuration: Configuration, releases_dir: Path) -> Release:
    """The release that an export with this plan gives, made from one that is there and current in its own folder.

    Args:
        release: Left as it is.
        configuration: The plan.
        releases_dir: Folder of releases; best on the release's own file system, where files need no copy.

    Raises:
        ReleaseError: It cannot be written.
    """
    description = release.manifest["description"]
    plan = ServingPlan(
        size_px=description["preprocess"]["resize"]["size_px"],
        labels=tuple(description["labels"]),
        instances=configuration.preprocess_instances,
        classifier_instances=configuration.classifier_instances,
        cores_per_instance=configuration.cores_per_instance,
        preferred_batch=configuration.preferred_batch,
        queue_delay_us=configuration.queue_delay_us,
    )
    with open_partial(releases_dir) as partial:
        repository = partial / REPOSITORY
        shutil.copytree(release.repository, repository, copy_function=_link, ignore=shutil.ignore_patterns(CONFIG))
        for companion in (release.path / name for name in COMPANIONS):
            if companion.is_dir():
                shutil.copytree(companion, partial / companion.name, copy_function=_link)
            elif companion.is_file():
                _link(str(companion), str(partial / companion.name))
        for entry in sorted(repository.iterdir()):
            config = render_config(TEMPLATES / entry.name / CONFIG, plan)
            (entry / CONFIG).write_text(config, encoding="utf-8")
        files = hashed_files(partial)
        manifest = {"release_id": release_id_of(description, files), "description": description, "files": files}
        describe_ensemble(repository / "deepfake_detector", plan, json.dumps(served(manifest), sort_keys=True))
        planned = publish(partial, releases_dir, manifest, manifest["release_id"])
    promote(planned)
    return planned


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
