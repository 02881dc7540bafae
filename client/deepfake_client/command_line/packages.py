"""Packages that a part of the project needs and the client alone does not bring."""

import importlib.util
from collections.abc import Mapping


def missing_packages(extras: Mapping[str, str]) -> str:
    """Which packages are missing, and the command that installs them; "" if none is.

    Args:
        extras: Modules, and the extra of deepfake-serving that brings each.
    """
    missing = [module for module in extras if importlib.util.find_spec(module) is None]
    wanted = ",".join(dict.fromkeys(extras[module] for module in missing))
    command = f"pip install ./client '.[{wanted}]' in the checkout"
    return f"packages are missing ({', '.join(missing)}): {command}" if missing else ""
