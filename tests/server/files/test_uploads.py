"""What clients upload, under its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from allgrad.server.files.uploads import Uploads
from allgrad.server.home import Home


def test_an_upload_and_its_name_are_on_the_disk_before_it_is_said_to_be_complete(
    tmp_path: Path, synced: list[str]
) -> None:
    uploads, data = Uploads(Home(tmp_path)), b"weights"
    digest = hashlib.sha256(data).hexdigest()
    uploads.append(digest, len(data), 0, data, plain=True)
    assert synced == []
    assert uploads.complete(digest, plain=True) == len(data)
    assert synced == [uploads.part(digest).name, "uploads"]
