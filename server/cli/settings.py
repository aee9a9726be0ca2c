"""The configuration file: defaults for what is not said by a flag or the environment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import click

from ..errors import InvalidRequest

NAMED_BY = "ALLGRAD_CONFIG"
FOR_ALL = ("server", "home", "tls_ca", "tls_cert", "tls_key")
"""What stands at the top of the file and holds for every verb."""


def path() -> Path:
    """Return where the file is: `$ALLGRAD_CONFIG`, or `allgrad/config.toml` in `$XDG_CONFIG_HOME` (`~/.config`)."""
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(os.environ.get(NAMED_BY) or Path(folder, "allgrad", "config.toml")).expanduser()


def defaults(group: click.Group) -> dict[str, Any]:
    """Return the defaults of each verb of *group*, as click takes them. Raises InvalidRequest if the file is not right."""
    file = path()
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if named := os.environ.get(NAMED_BY):
            raise InvalidRequest(
                f"cannot read {named}", "there is no such file", f"name one by ${NAMED_BY}, or unset it"
            ) from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"cannot read {file}", str(error), "it is a TOML file: see docs/configuration.md"
        ) from None
    common = {key: value for key, value in told.items() if not isinstance(value, dict)}
    _check_known(file, "", common, FOR_ALL)
    _check_known(file, "", told.keys() - common.keys(), group.commands)
    return {verb: _verb(file, verb, command, common, told.get(verb, {})) for verb, command in group.commands.items()}


def _verb(file: Path, verb: str, command: click.Command, common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if isinstance(command, click.Group):
        _check_known(file, verb, own, command.commands)
        return {
            name: _verb(file, f"{verb}.{name}", inner, common, own.get(name, {}))
            for name, inner in command.commands.items()
        }
    options = _options(command)
    named = {key.replace("-", "_"): value for key, value in own.items()}
    _check_known(file, verb, named, options)
    for key, value in named.items():
        if options[key].multiple and not isinstance(value, list):
            raise InvalidRequest(
                f"{file}: {key!r} in [{verb}] is a list", f"it says {value!r}", f"write {key} = [{value!r}]"
            )
    return common | {str(options[key].name): value for key, value in named.items()}


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return the options of *command* by their long names, but for the token, which has no place in a file."""
    return {
        max(each.opts, key=len).removeprefix("--").replace("-", "_"): each
        for each in command.params
        if isinstance(each, click.Option) and each.name != "token"
    }


def _check_known(file: Path, verb: str, keys: Any, known: Any) -> None:
    for key in sorted(keys):
        if key not in known:
            where = f" in [{verb}]" if verb else ""
            raise InvalidRequest(f"{file}: {key!r}{where} is not known", f"there are {', '.join(sorted(known))}")
