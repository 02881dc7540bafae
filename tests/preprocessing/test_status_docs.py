from preprocessing import STATUS_TABLE
from tests.service import ROOT


def test_the_documented_status_table_is_the_one_in_the_code() -> None:
    rows = [f"| {code} | {row.name} | {row.meaning} |" for code, row in STATUS_TABLE.items()]
    assert "\n".join(rows) in (ROOT / "docs" / "triton.md").read_text("utf-8")
