"""The table of all settings, made from the code: `python -m tests.docs.settings_page > docs/settings.md`."""

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deepfake_client.environment import variables_of
from deepfake_client.settings import ClientSettings
from deploy.settings import DeploySettings
from gateway.settings import GatewaySettings

_SECTIONS: tuple[tuple[str, str, type[BaseSettings]], ...] = (
    ("make serve", "`deepfake-serve`; options of the same name with dashes win over the environment.", DeploySettings),
    (
        "Gateway",
        "`python -m gateway`, which also takes DEEPFAKE_HOST, PORT, MEDIA_ROOT and OTEL_EXPORTER_OTLP_ENDPOINT.",
        GatewaySettings,
    ),
    ("Client", "The library, the command line and the gateway's connection to Triton.", ClientSettings),
)

_INTRODUCTION = """# Settings

Environment variables, read once at the start. Made by `python -m tests.docs.settings_page`. The compose file's other
variables are in [deploy.md](deploy.md#compose). PYTHON chooses the interpreter of `make`. The limits of an image belong
to the release: changing one exports again.
"""


def settings_page() -> str:
    """docs/settings.md, whole."""
    parts = [_INTRODUCTION]
    listed: set[str] = set()
    for title, introduction, model in _SECTIONS:
        parts.append(f"\n## {title}\n\n{introduction}\n\n| variable | default | meaning |\n|---|---|---|\n")
        for name, field in model.model_fields.items():
            variables = ", ".join(f"`{variable}`" for variable in variables_of(model, name))
            if variables in listed:
                continue
            listed.add(variables)
            parts.append(f"| {variables} | {_default(field)} | {field.description} |\n")
    return "".join(parts)


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "`~/.cache/deepfake-serving`" if field.validation_alias else "a temporary folder"
    return "unset" if field.default is None else f"`{field.default}`"


if __name__ == "__main__":
    print(settings_page(), end="")
