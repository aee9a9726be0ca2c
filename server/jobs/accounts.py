"""The accounts of this machine that jobs run under, and the command by which the server reaches them."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
from dataclasses import dataclass

from ..errors import InvalidRequest
from .job import ADMIN

USER = "{user}"
"""What stands for the name of the account in the command and the folder."""
FOLDER = f"~{USER}/.allgrad/ranks"
"""Where the jobs of an account lie, unless the server is told otherwise."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account other than the server's. *command* leads what is to run under it; its jobs lie in *folder*."""

    name: str
    command: tuple[str, ...]
    folder: str

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"the account {self.name}"

    @property
    def local(self) -> bool:
        """Whether the server's own account starts and ends its processes: never."""
        return False


@dataclass(frozen=True, slots=True)
class Accounts:
    """Which account each user's jobs run under: the one of that name, reached by *command*, with its jobs in *folder*."""

    command: tuple[str, ...]
    folder: str = FOLDER

    @classmethod
    def of(cls, command: str, folder: str = FOLDER) -> Accounts:
        """Return what *command*, a line without a shell, and *folder* say.

        Raises InvalidRequest if they do not say where the name of the account belongs, or there is no such program.

        >>> Accounts.of("env -u HOME {user}").command
        ('env', '-u', 'HOME', '{user}')
        """
        try:
            words = tuple(shlex.split(command))
        except ValueError as error:
            raise InvalidRequest(f"cannot read the command {command!r}", f"{error}", "see --run-as-command") from None
        for name, text in (("command", command), ("folder", folder)):
            if USER not in text:
                raise InvalidRequest(
                    f"cannot run jobs under other accounts by the {name} {text!r}",
                    f"it does not say where the account's name belongs, {USER}",
                    f"write it as in: --run-as-command 'sudo -n -H -u {USER} --'",
                )
        if shutil.which(words[0]) is None:
            raise InvalidRequest(
                f"cannot run jobs under other accounts by {words[0]}",
                "there is no such program",
                "see --run-as-command",
            )
        return cls(words, folder)

    def account(self, user: str) -> Account | None:
        """Return the account that jobs of *user* run under; None: the server's own, as for its administrator.

        Raises InvalidRequest if the machine has none of that name, or it is the one that may do everything.
        """
        if user == ADMIN:
            return None
        try:
            number = pwd.getpwnam(user).pw_uid
        except KeyError:
            raise InvalidRequest(
                f"jobs of {user} cannot run",
                f"they run under the account of that name, and the server's machine has no account {user!r}",
                "ask an administrator for one, or for a token with the name of yours",
            ) from None
        if number == os.getuid():
            return None
        if number == 0:
            raise InvalidRequest(f"jobs of {user} cannot run", "that account may do everything", "use another account")
        command = tuple(word.replace(USER, user) for word in self.command)
        return Account(user, command, os.path.expanduser(self.folder.replace(USER, user)))
