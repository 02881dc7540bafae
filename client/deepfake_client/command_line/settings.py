"""Options of a command for the fields of its settings."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deepfake_client.command_line.options import Version
from deepfake_client.environment import variables_of

S = TypeVar("S", bound=BaseSettings)


def options_of(model: type[S], *, without: tuple[str, ...] = ()) -> Callable[[Callable[[Callable[[], S]], None]], Any]:
    """A decorator that makes a command: its options are the fields of the model.

    What it decorates is called with a function that reads the settings: those of the command line win over the
    environment. Values are checked there alone, so that a wrong one is refused in the same words wherever it is from.

    Args:
        model: The settings.
        without: Fields that only the environment sets.
    """

    def decorate(command: Callable[[Callable[[], S]], None]) -> Callable[..., None]:
        def with_options(**given: Any) -> None:
            given.pop("_version")
            command(lambda: model(**{name: value for name, value in given.items() if value is not None}))

        options = [_option(model, name, field) for name, field in model.model_fields.items() if name not in without]
        version = inspect.Parameter("_version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Version)
        signature = inspect.Signature([*options, version])
        with_options.__signature__ = signature  # type: ignore[attr-defined]
        with_options.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
        with_options.__doc__ = command.__doc__
        return with_options

    return decorate


def _option(model: type[BaseSettings], name: str, field: FieldInfo) -> inspect.Parameter:
    option = name.replace("_", "-")
    names, kind, metavar = f"--{option}", _kind(field.annotation), None
    default = field.get_default(call_default_factory=True)
    if kind is bool:
        names = f"--{option}/--no-{option}"
        default = option if default else f"no-{option}"
    elif kind is not Path and get_origin(kind) is not Literal:
        kind, metavar = str, f"<{kind.__name__}>"
    said = [f"env var: {', '.join(variables_of(model, name))}"]
    if default not in (None, ""):
        said.append(f"default: {str(default).replace(',', ', ')}")  # lines break between the entries of a list
    shown = typer.Option(names, metavar=metavar, help=f"{field.description}  [{'; '.join(said)}]", show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, shown]
    )


def _kind(annotation: Any) -> Any:
    """The type of a field, without the None that says that it may be unset."""
    if get_origin(annotation) is Literal:
        return annotation
    return next((kind for kind in get_args(annotation) if kind is not NoneType), annotation)
