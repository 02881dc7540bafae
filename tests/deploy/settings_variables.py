"""The names of a settings class in the environment."""

from pydantic_settings import BaseSettings


def variables_of(model: type[BaseSettings]) -> set[str]:
    """With the class's prefix, but for fields that have a name of their own."""
    prefix = str(model.model_config.get("env_prefix", ""))
    return {
        str(field.validation_alias).upper() if isinstance(field.validation_alias, str) else f"{prefix}{name}".upper()
        for name, field in model.model_fields.items()
    }
