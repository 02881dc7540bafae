from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import FakeLabels, split_names

app = new_app("example")


@app.command(cls=styled({2: "wrong", 0: "done"}, ("example --url x",), {"count": "Numbers"}, {"--server": "--url"}))
def example(
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE", help="Read.")] = None,
    url: Annotated[str, typer.Option(help="Where.")] = "there",
    count: Annotated[int, typer.Option(min=1, max=9, help="How many.")] = 3,
    names: FakeLabels = None,
) -> None:
    """Does a thing."""
    typer.echo(f"{files} {url} {count} {split_names(names)}")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_options_stand_in_groups_and_exit_codes_and_examples_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    headings = [line for line in run("--help").stdout.splitlines() if line.endswith(":") and line[0] != " "]
    assert headings == ["Arguments:", "Options:", "Numbers:", "Other options:", "Exit codes:", "Examples:"]
    lines = run("--help").stdout.splitlines()
    assert "  FILE  Read." in lines
    assert "--count <int> How many. [default: 3; 1<=x<=9]" in " ".join(" ".join(lines).split())
    assert lines[lines.index("Exit codes:") + 1 :] == ["  0  done", "  2  wrong", "", "Examples:", "  example --url x"]


@pytest.mark.parametrize("given", [("--server", "here"), ("--server=here",)])
def test_an_old_name_works_and_says_the_new_one(given: tuple[str, ...]) -> None:
    done = run("a", *given)
    assert done.stdout == "['a'] here 3 ()\n"
    assert done.stderr == "--server is called --url now; the old name goes with the next release\n"
    assert "--server " not in run("--help").stdout


def test_names_are_separated_by_commas_or_given_again() -> None:
    assert "('a', 'b c', 'd')" in run("--names", "a, b c,", "--names", "d").stdout
