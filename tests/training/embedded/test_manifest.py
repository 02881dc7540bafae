"""The list of photographs themselves."""

import base64
import re
from collections import defaultdict

import pytest

from training.embedded.backbone import BACKBONE
from training.embedded.manifest import MANIFEST, MORE, Package, load_manifest


@pytest.fixture(params=[MANIFEST, MORE, BACKBONE])
def packages(request: pytest.FixtureRequest) -> tuple[Package, ...]:
    return load_manifest(request.param)


def test_no_two_entries_share_a_place(packages: tuple[Package, ...]) -> None:
    places = [(package.folder_name, listed.name) for package in packages for listed in package.files]
    assert len(places) == len(set(places))
    originals = {(p.folder_name, f.original_name): f.path for p in packages for f in p.files}
    assert len(originals) == len({(p.folder_name, f.path) for p in packages for f in p.files})


def test_each_package_states_a_licence_and_digests_are_well_formed(packages: tuple[Package, ...]) -> None:
    for package in packages:
        assert package.licence.strip()
        if package.registry == "npm":
            assert len(base64.b64decode(package.integrity.removeprefix("sha512-"), validate=True)) == 64
        elif package.registry != "debian":
            assert re.fullmatch(r"sha256:[0-9a-f]{64}", package.integrity)
        assert all(re.fullmatch(r"[0-9a-f]{64}", listed.sha256) for listed in package.files)


def test_nobody_and_no_file_is_on_two_sides() -> None:
    sides: dict[str, set[str]] = defaultdict(set)
    for package in (*load_manifest(), *load_manifest(MORE)):
        for listed in package.files:
            sides[listed.sha256].add(listed.split)
            if listed.person is not None:
                sides[listed.person].add(listed.split)
    assert {key: value for key, value in sides.items() if len(value) > 1} == {}


def test_nothing_is_trained_on_what_false_alarms_are_measured_on() -> None:
    assert {file.split for package in load_manifest(MORE) for file in package.files} == {"test"}


def test_the_list_has_enough_people_to_test_on() -> None:
    files = [f for p in load_manifest() for f in p.files if f.person]
    assert len({f.person for f in files if f.split == "test"}) >= 25
    assert len({f.person for f in files if f.split in ("val", "test")}) >= 50
