"""Settings from environment variables with the prefix DEEPFAKE_."""

from pydantic import AliasChoices
from pydantic_settings import BaseSettings, SettingsConfigDict


class PrefixedSettings(BaseSettings):
    """Reads DEEPFAKE_NAME for a field `name`. A field with an alias has that name, without a prefix."""

    model_config = SettingsConfigDict(env_prefix="DEEPFAKE_", frozen=True, extra="forbid", env_ignore_empty=True)


def variables_of(model: type[BaseSettings], name: str) -> list[str]:
    """The environment variables of a field, as documents name them."""
    alias = model.model_fields[name].validation_alias
    if isinstance(alias, str):
        return [alias.upper()]
    names = alias.choices if isinstance(alias, AliasChoices) else []
    upper = [choice for choice in names if isinstance(choice, str) and choice.isupper()]
    return upper or [f"{model.model_config.get('env_prefix', '')}{name}".upper()]
