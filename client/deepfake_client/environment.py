"""Settings from environment variables with the prefix DEEPFAKE_, and for one release from their old names too."""

import logging
import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "DEEPFAKE_"

_LOG = logging.getLogger("deepfake_client")


class PrefixedSettings(BaseSettings):
    """Reads DEEPFAKE_NAME for a field `name`. A field with an alias has that name, without a prefix.

    Where DEEPFAKE_NAME is not set, NAME is taken with a warning: releases before 0.2 had no prefix.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See pydantic-settings: arguments, the environment, old names."""
        return init_settings, env_settings, _OldNames(settings_cls)


def variables_of(model: type[BaseSettings], name: str) -> list[str]:
    """The environment variables of a field, as documents name them."""
    alias = model.model_fields[name].validation_alias
    if isinstance(alias, str):
        return [alias.upper()]
    names = alias.choices if isinstance(alias, AliasChoices) else []
    upper = [choice for choice in names if isinstance(choice, str) and choice.isupper()]
    return upper or [f"{model.model_config.get('env_prefix', '')}{name}".upper()]


class _OldNames(PydanticBaseSettingsSource):
    """The variables as they were called before they had the prefix."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """See pydantic-settings."""
        old, new = field_name.upper(), PREFIX + field_name.upper()
        value = os.environ.get(old)
        if field.validation_alias is not None or not value or os.environ.get(new) or not _is_meant(old, value):
            return None, field_name, False
        _LOG.warning("%s is called %s now; the old name goes with the next release", old, new)
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values by field."""
        found = {name: self.get_field_value(f, name)[0] for name, f in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def _is_meant(name: str, value: str) -> bool:
    """Whether a variable can be a setting: conda sets HOST to its compiler's triple, tcsh to the machine's name."""
    if name != "HOST" or value == "localhost":
        return True
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def warn_of_retired(retired: Mapping[str, str]) -> None:
    """Warns of variables that are set and do nothing any more.

    Args:
        retired: Names, and what to do instead.
    """
    for name, instead in retired.items():
        if os.environ.get(name) or os.environ.get(PREFIX + name):
            _LOG.warning("%s does nothing any more: %s", name, instead)
