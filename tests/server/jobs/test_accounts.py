"""The accounts that jobs run under, as the server is told of them."""

from __future__ import annotations

import os
import pwd

import pytest

from allgrad.server.errors import InvalidRequest
from allgrad.server.jobs.accounts import Account, Accounts

SOMEBODY = next(each for each in pwd.getpwall() if each.pw_uid not in (0, os.getuid()))
ENV = Accounts.of("env -u HOME FOR={user}", "/jobs/of-{user}")


def test_a_users_jobs_run_under_the_account_of_that_name() -> None:
    name = SOMEBODY.pw_name
    assert ENV.account(name) == Account(name, ("env", "-u", "HOME", f"FOR={name}"), f"/jobs/of-{name}")


def test_by_default_they_lie_in_the_accounts_home_folder() -> None:
    account = Accounts.of("env {user}").account(SOMEBODY.pw_name)
    assert account is not None
    assert account.folder == os.path.join(SOMEBODY.pw_dir, ".allgrad", "ranks")


@pytest.mark.parametrize("user", ["admin", pwd.getpwuid(os.getuid()).pw_name])
def test_jobs_of_the_administrator_and_of_the_servers_own_account_run_under_that(user: str) -> None:
    assert ENV.account(user) is None


@pytest.mark.parametrize("user", ["no-such-user", "#0", "-u"])
def test_a_user_without_an_account_is_refused(user: str) -> None:
    with pytest.raises(InvalidRequest, match="has no account"):
        ENV.account(user)


def test_the_account_that_may_do_everything_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: SOMEBODY.pw_uid)
    with pytest.raises(InvalidRequest, match="may do everything"):
        ENV.account("root")


@pytest.mark.parametrize(
    ("command", "folder", "told"),
    [
        ("sudo -n --", "~{user}", "does not say where the account's name belongs"),
        ("", "~{user}", "does not say where the account's name belongs"),
        ("env {user}", "/jobs", "does not say where the account's name belongs"),
        ("no-such-program {user}", "~{user}", "there is no such program"),
        ("env 'of {user}", "~{user}", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_lead_to_accounts_is_refused(command: str, folder: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        Accounts.of(command, folder)
