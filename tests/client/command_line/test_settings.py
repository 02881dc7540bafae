from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import typer
from pydantic import Field, ValidationError
from typer.testing import CliRunner

from deepfake_client.command_line.settings import options_of
from deepfake_client.environment import PrefixedSettings


class Settings(PrefixedSettings):
    port: int = Field(default=5000, validation_alias="port", description="Where.")
    folder: Path | None = Field(default=None, description="In which.")
    mode: Literal["fast", "slow"] = Field(default="fast", description="How.")
    faces: bool = Field(default=True, description="Whether.")
    kinds: str = Field(default="a,b", description="Which.")
    descriptors: tuple[int, ...] = Field(default=(), description="Not for people.")


read: list[Settings] = []
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
@options_of(Settings, without=("descriptors",))
def example(read_settings: Callable[[], Settings]) -> None:
    """Does a thing."""
    read.append(read_settings())


def settings(*arguments: str) -> Settings:
    app(list(arguments), standalone_mode=False)
    return read[-1]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "DEEPFAKE_FACES"):
        monkeypatch.delenv(name, raising=False)


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings() == Settings()
    monkeypatch.setenv("PORT", "6001")
    monkeypatch.setenv("DEEPFAKE_FACES", "off")
    monkeypatch.setenv("DEEPFAKE_DESCRIPTORS", "[3]")
    assert (settings().port, settings().faces, settings().descriptors) == (6001, False, (3,))
    given = settings("--port", "6002", "--faces", "--folder", "here", "--mode", "slow", "--kinds", "a")
    assert (given.port, given.faces, given.folder, given.mode, given.kinds) == (6002, True, Path("here"), "slow", "a")
    assert settings("--no-faces").faces is False


def test_a_wrong_value_is_refused_in_the_same_words_wherever_it_is_from(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError) as by_option:
        settings("--port", "x")
    monkeypatch.setenv("PORT", "x")
    with pytest.raises(ValidationError) as by_variable:
        settings()
    assert [one["msg"] for one in by_option.value.errors()] == [one["msg"] for one in by_variable.value.errors()]


def test_help_names_variable_and_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(app, ["--help"]).stdout
    for line in (
        "--port <int> Where. [env var: PORT; default: 5000]",
        "--folder <path> In which. [env var: DEEPFAKE_FOLDER]",
        "--mode <fast|slow> How. [env var: DEEPFAKE_MODE; default: fast]",
        "--faces / --no-faces Whether. [env var: DEEPFAKE_FACES; default: faces]",
        "--kinds <str> Which. [env var: DEEPFAKE_KINDS; default: a, b]",
    ):
        assert line in " ".join(text.split())
    assert "descriptors" not in text
