"""The help of every command: options in groups, then exit codes, then examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_OTHER = dict.fromkeys(("_version", "install_completion", "help"), "Other options")


def new_app(name: str, examples: Sequence[str] = ()) -> typer.Typer:
    """An application for a command, or for a group of commands.

    Args:
        name: The program, or the module as in `python -m evaluation.compare`, which no shell can complete.
        examples: Command lines that the help of a group ends with.
    """

    class Group(TyperGroup):
        def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
            _write_examples(formatter, examples)

    completes = not name.startswith("python ")
    return typer.Typer(name=name, cls=Group, add_completion=completes, pretty_exceptions_enable=False,
                       rich_markup_mode=None)  # fmt: skip


def styled(
    exit_codes: Mapping[int, str],
    examples: Sequence[str],
    groups: Mapping[str, str] | None = None,
    old_names: Mapping[str, str] | None = None,
) -> type[TyperCommand]:
    """A class for `app.command(cls=...)`.

    Args:
        exit_codes: What each means.
        examples: Command lines.
        groups: Headings of the options, each by the name of the parameter that begins its group.
        old_names: Options as they were called in the release before, and what they are called now.
    """
    renamed = old_names or {}
    headings = {**(groups or {}), **_OTHER}

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, [_current(argument, renamed) for argument in args])

        def format_options(self, ctx: Any, formatter: Any) -> None:
            sections: dict[str, list[tuple[str, str]]] = {}
            heading = "Options"
            for parameter in self.get_params(ctx):
                if not (record := parameter.get_help_record(ctx)):
                    continue
                name, text = record
                if parameter.param_type_name == "argument":
                    sections.setdefault("Arguments", []).append((name.split(" <")[0], text))
                    continue
                heading = headings.get(parameter.name, heading)
                sections.setdefault(heading, []).append((_plain_type(name), text))
            for title, records in sections.items():
                with formatter.section(title):
                    formatter.write_dl(records)

        def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
            with formatter.section("Exit codes"):
                formatter.write_dl([(str(code), meaning) for code, meaning in sorted(exit_codes.items())])
            _write_examples(formatter, examples)

    return Command


def _current(argument: str, renamed: Mapping[str, str]) -> str:
    """An argument with the present name of its option."""
    name, equals, value = argument.partition("=")
    if name not in renamed:
        return argument
    typer.echo(f"{name} is called {renamed[name]} now; the old name goes with the next release", err=True)
    return f"{renamed[name]}{equals}{value}"


def _plain_type(name: str) -> str:
    """`--workers <int>` for `--workers <int range>`: the range stands behind the text."""
    return name.replace(" range>", ">").replace("<list[", "<").replace("]>", ">")


def _write_examples(formatter: Any, examples: Sequence[str]) -> None:
    if examples:
        with formatter.section("Examples"):
            for line in "\n".join(examples).splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
