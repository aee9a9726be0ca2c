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


OUTSIDE = "token"
"""What has no place in the file: the option, and not the verb of that name."""


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
    tables = group.commands.keys() - {OUTSIDE}
    common = {key: value for key, value in told.items() if not isinstance(value, dict) and key not in tables}
    _check_known(file, "", common, FOR_ALL)
    for key, value in common.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"{file}: {key!r} is a text", f"it says {value!r}", f'write {key} = "TEXT"')
    _check_known(file, "", told.keys() - common.keys(), group.commands)
    return {verb: _verb(file, verb, command, common, told.get(verb, {})) for verb, command in group.commands.items()}


def _verb(file: Path, verb: str, command: click.Command, common: dict[str, Any], own: Any) -> dict[str, Any]:
    if not isinstance(own, dict):
        fix = f"write [{verb}], and below it NAME = VALUE"
        raise InvalidRequest(f"{file}: {verb!r} is a table of options", f"it says {own!r}", fix)
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
        for one in value if options[key].multiple else [value]:
            if isinstance(one, list | dict):
                raise InvalidRequest(
                    f"{file}: {key!r} in [{verb}] is no single value", f"it says {one!r}", f"write {key} = VALUE"
                )
    return common | {str(options[key].name): value for key, value in named.items()}


def _options(command: click.Command) -> dict[str, click.Option]:
    """Return the options of *command* by their long names, but for the token, which has no place in a file."""
    return {
        max(each.opts, key=len).removeprefix("--").replace("-", "_"): each
        for each in command.params
        if isinstance(each, click.Option) and each.name != OUTSIDE
    }


def _check_known(file: Path, verb: str, keys: Any, known: Any) -> None:
    for key in sorted(keys):
        if key not in known:
            where = f" in [{verb}]" if verb else ""
            raise InvalidRequest(f"{file}: {key!r}{where} is not known", f"there are {', '.join(sorted(known))}")
