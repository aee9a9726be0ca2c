"""``allgrad token``, ``quota``, ``audit``, ``restore``, ``submit --workdir``, ``artifacts``, ``download``, as people run them."""

from __future__ import annotations

import json

from .conftest import CommandLine


def test_a_token_is_made_listed_used_and_revoked(server: CommandLine) -> None:
    made = json.loads(server("token", "create", "mia", "--scope", "view", "--json").stdout)
    secret = made.pop("secret")
    listed = server("token", "list").stdout
    assert made["id"] in listed
    assert secret not in listed
    assert server("list", ALLGRAD_TOKEN=secret).returncode == 0
    refused = server("submit", "true", ALLGRAD_TOKEN=secret)
    assert refused.returncode == 4
    assert "allgrad: this token does not allow SubmitJob; its scope is view, and submit is needed" in refused.stderr
    assert server("token", "revoke", made["id"]).returncode == 0
    assert server("list", ALLGRAD_TOKEN=secret).returncode == 4
    assert server("token", "revoke", "nobody").returncode == 5


def test_quotas_are_set_and_listed_and_all_of_it_is_audited(server: CommandLine) -> None:
    assert "ben" in server("quota", "ben", "--queued", "3").stdout
    told = json.loads(server("quota", "--json").stdout)
    assert told == {"user": "ben", "queued": 3, "running": 0, "slots": 0}
    assert json.loads(server("audit", "--json", "--limit", "1").stdout)["action"] == "SetQuota"


def test_asking_for_a_users_quota_changes_nothing_and_naming_one_limit_keeps_the_others(server: CommandLine) -> None:
    server("quota", "eva", "--queued", "7", "--slots", "3")
    number = json.loads(server("audit", "--json", "--limit", "1").stdout)["number"]
    for user, limits in (("eva", (7, 0, 3)), ("nobody", (0, 0, 0))):
        told = json.loads(server("quota", user, "--json").stdout)
        assert told == dict(zip(("user", "queued", "running", "slots"), (user, *limits), strict=True))
    assert json.loads(server("audit", "--json", "--limit", "1").stdout)["number"] == number
    changed = json.loads(server("quota", "eva", "--running", "2", "--slots", "0", "--json").stdout)
    assert changed == {"user": "eva", "queued": 7, "running": 2, "slots": 0}
    refused = server("quota", "--queued", "3")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "allgrad quota USER" in refused.stderr


def test_what_starts_the_server_of_a_restored_folder_names_that_folder(server: CommandLine) -> None:
    server("backup", "all.zip")
    other = server.folder / "other place"
    elsewhere = server("restore", "all.zip", "--home", str(other)).stdout
    assert elsewhere.endswith(f"start its server with: allgrad serve --home '{other}'\n")
    usual = server("restore", "all.zip", ALLGRAD_HOME=str(server.folder / "usual")).stdout
    assert usual.endswith("start its server with: allgrad serve\n")


def test_a_folder_is_uploaded_run_and_its_artifacts_fetched(server: CommandLine) -> None:
    work = server.folder / "work"
    (work / "src").mkdir(parents=True)
    (work / "src" / "train.py").write_text(
        "import os\nopen(os.environ['ALLGRAD_OUTPUT_DIR'] + '/model.bin', 'w').write(open('words').read())\n"
    )
    (work / "words").write_text("weights")
    (work / "secret").write_text("x")
    (work / ".allgradignore").write_text("secret\n")
    done = server("submit", "--workdir", "work", "--follow", "--json", "work/src/train.py")
    assert done.returncode == 0, done.stderr
    job = json.loads(server("list", "--json", "--limit", "1").stdout)["id"]
    copy = server.folder / "home" / "jobs" / job / "workdir"
    assert {path.name for path in copy.rglob("*") if path.is_file()} == {".allgradignore", "train.py", "words"}
    assert "model.bin" in server("artifacts", job).stdout
    assert server("download", job, "--to", "fetched").returncode == 0
    assert (server.folder / "fetched" / "model.bin").read_text() == "weights"
    assert server("download", job, "../../escape").returncode == 2
