import pytest

from preprocessing import STATUS_TABLE, ImageRejectedError, Status

# Numbers that servers send and clients read: a new one may be added, none may change.
PINNED = {
    0: "OK",
    1: "EMPTY",
    2: "NOT_AN_IMAGE",
    3: "UNSUPPORTED_FORMAT",
    4: "TOO_MANY_BYTES",
    5: "TOO_MANY_PIXELS",
    6: "DECODE_FAILED",
    7: "INTERNAL",
    8: "TOO_COMPLEX",
    9: "FACE_BOX_OUTSIDE",
}


def test_names_and_numbers_are_pinned() -> None:
    assert {code: entry.name for code, entry in STATUS_TABLE.items()} == PINNED
    assert {status.value: status.name for status in Status} == PINNED


def test_every_status_says_what_to_do() -> None:
    assert all(entry.meaning.endswith(".") and len(entry.meaning) > 20 for entry in STATUS_TABLE.values())


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_rejection_explains_itself(status: Status) -> None:
    assert str(ImageRejectedError(status)) == STATUS_TABLE[status].meaning
    assert str(ImageRejectedError(status, "detail")) == "detail"
