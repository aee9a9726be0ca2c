"""Archives: the same folder makes the same bytes, and no hostile archive leaves a trace."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from allgrad.server.client.packing import files_of, pack
from allgrad.server.errors import InvalidRequest
from allgrad.server.files import archive

Build = Callable[[tarfile.TarFile], None]


def tar(build: Build, format: int = tarfile.USTAR_FORMAT) -> bytes:
    """The bytes of a tar that *build* fills."""
    made = io.BytesIO()
    with tarfile.open(mode="w", fileobj=made, format=format) as file:
        build(file)
    return made.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "", **more: int) -> Build:
    """Adds one member."""

    def add(file: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        info.size = len(data)
        for key, value in more.items():
            setattr(info, key, value)
        file.addfile(info, io.BytesIO(data))

    return add


def both(*builds: Build) -> Build:
    def add(file: tarfile.TarFile) -> None:
        for build in builds:
            build(file)

    return add


def patched(raw: bytes, at: int, to: bytes) -> bytes:
    """A header with other bytes and a right checksum."""
    header = bytearray(raw[:512])
    header[at : at + len(to)] = to
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header) + raw[512:]


GOOD = tar(member("a.py", data=b"x = 1\n"))
DEEP = "/".join("d" * 65)
HOSTILE: dict[str, bytes] = {
    "climbs out": gzip.compress(tar(member("../out"))),
    "climbs out later": gzip.compress(tar(member("a/../../out"))),
    "climbs within": gzip.compress(tar(member("a/../b"))),
    "ends in a climb": gzip.compress(tar(member("a/.."))),
    "folder climbs out": gzip.compress(tar(member("../out", tarfile.DIRTYPE))),
    "is only a climb": gzip.compress(tar(member(".."))),
    "absolute": gzip.compress(tar(member("/tmp/out"))),
    "absolute twice": gzip.compress(tar(member("//tmp/out"))),
    "absolute by its prefix": gzip.compress(patched(GOOD, 345, b"/tmp")),
    "climbs by its prefix": gzip.compress(patched(GOOD, 345, b"..")),
    "symbolic link": gzip.compress(tar(member("link", tarfile.SYMTYPE, link="/etc/passwd"))),
    "symbolic link within": gzip.compress(tar(member("link", tarfile.SYMTYPE, link="a.py"))),
    "link and then through it": gzip.compress(
        tar(both(member("d", tarfile.SYMTYPE, link="/tmp"), member("d/out", data=b"x")))
    ),
    "hard link": gzip.compress(tar(member("link", tarfile.LNKTYPE, link="/etc/passwd"))),
    "hard link within": gzip.compress(tar(both(member("a.py"), member("link", tarfile.LNKTYPE, link="a.py")))),
    "character device": gzip.compress(tar(member("null", tarfile.CHRTYPE, devmajor=1, devminor=3))),
    "block device": gzip.compress(tar(member("sda", tarfile.BLKTYPE, devmajor=8))),
    "pipe": gzip.compress(tar(member("pipe", tarfile.FIFOTYPE))),
    "contiguous file": gzip.compress(tar(member("a", tarfile.CONTTYPE))),
    "sparse file": gzip.compress(patched(GOOD, 156, b"S")),
    "unknown kind": gzip.compress(patched(GOOD, 156, b"Z")),
    "long name of GNU": gzip.compress(tar(member("n" * 300), tarfile.GNU_FORMAT)),
    "long name of PAX": gzip.compress(tar(member("n" * 300), tarfile.PAX_FORMAT)),
    "global header of PAX": gzip.compress(patched(GOOD, 156, b"g")),
    "twice the same file": gzip.compress(tar(both(member("a"), member("a", data=b"other")))),
    "file, then folder": gzip.compress(tar(both(member("a"), member("a/b")))),
    "folder, then file": gzip.compress(tar(both(member("a/b"), member("a")))),
    "folder of a file's name": gzip.compress(tar(both(member("a"), member("a", tarfile.DIRTYPE)))),
    "no name": gzip.compress(patched(GOOD, 0, bytes(100))),
    "a dot": gzip.compress(tar(member("."))),
    "a dot within": gzip.compress(tar(member("a/./b"))),
    "two slashes": gzip.compress(tar(member("a//b"))),
    "line break": gzip.compress(tar(member("a\nb"))),
    "escape sequence": gzip.compress(tar(member("\x1b[2Ja"))),
    "text that runs from right to left": gzip.compress(tar(member("a\u202egpj.py"))),
    "backslash": gzip.compress(tar(member("..\\out"))),
    "not UTF-8": gzip.compress(patched(GOOD, 0, b"\xff\xfe")),
    "hidden behind a NUL": gzip.compress(patched(GOOD, 0, b"a.py\0/../../out")),
    "deeper than anybody goes": gzip.compress(tar(member(DEEP))),
    "negative size": gzip.compress(patched(GOOD, 124, b"-0000000001\0")),
    "size in base 256": gzip.compress(patched(GOOD, 124, b"\x80" + bytes(10) + b"\x06")),
    "size beyond the end": gzip.compress(patched(GOOD, 124, b"77777777777\0")),
    "folder with data": gzip.compress(patched(tar(member("a", data=b"x" * 9)), 156, b"5")),
    "wrong checksum": gzip.compress(GOOD[:10] + b"x" + GOOD[11:]),
    "old tar": gzip.compress(patched(GOOD, 257, b"\0" * 8)),
    "ends early": gzip.compress(GOOD[:700]),
    "without an end": gzip.compress(GOOD[:1024]),
    "gzip ends early": gzip.compress(GOOD)[:-20],
    "gzip is damaged": gzip.compress(GOOD)[:40] + b"\0\0\0\0" + gzip.compress(GOOD)[44:],
    "second gzip behind": gzip.compress(GOOD) + gzip.compress(tar(member("b"))),
    "something behind": gzip.compress(GOOD) + b"rest",
    "second tar behind": gzip.compress(GOOD + tar(member("b"))),
    "not compressed": GOOD,
    "zip": b"PK\x03\x04" + bytes(60),
    "zlib": zlib.compress(GOOD),
    "empty": b"",
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNPACKED_BYTES", 1 << 20)
    monkeypatch.setattr(archive, "ENTRIES", 100)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(name: str, tmp_path: Path, small: None) -> None:
    path, folder = tmp_path / "archive", tmp_path / "in" / "folder"
    path.write_bytes(HOSTILE[name])
    folder.parent.mkdir()
    for use in (lambda: archive.names(path), lambda: archive.unpack(path, folder)):
        with pytest.raises(InvalidRequest, match="the archive cannot be used"):
            use()
    assert sorted(tmp_path.rglob("*")) == [path, folder.parent]


def bomb(size: int) -> bytes:
    made = io.BytesIO()
    header = patched(GOOD, 124, f"{size:011o}\0".encode())[:512]
    with gzip.GzipFile(fileobj=made, mode="wb", compresslevel=9) as file:
        file.write(header)
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return made.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(bomb(64 << 20), id="of one file"),
        pytest.param(gzip.compress(GOOD[:1024] + bytes(64 << 20)), id="of zeros behind the end"),
        pytest.param(gzip.compress(tar(both(*[member(f"f{i}") for i in range(500)]))), id="of many files"),
        pytest.param(gzip.compress(tar(both(*[member(f"f{i}/a/b/c/d/e") for i in range(60)]))), id="of many folders"),
    ],
)
def test_a_bomb_is_stopped_at_the_limit(raw: bytes, tmp_path: Path, small: None) -> None:
    (tmp_path / "archive").write_bytes(raw)
    with pytest.raises(InvalidRequest, match=r"it (holds|has) more than"):
        archive.unpack(tmp_path / "archive", tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def packed(folder: Path) -> bytes:
    made = io.BytesIO()
    pack(files_of(folder), made)
    return made.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    for name, text in {
        "train.py": "print('x')\n",
        "lib/deep/module.py": "",
        "data/large.bin": "0" * 700_000,
        "run.sh": "#!/bin/sh\n",
        "naïve name.txt": "é",
        ".git/config": "secret",
        "out/model.bin": "m",
        "out/keep.txt": "k",
        "__pycache__/train.pyc": "c",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    (made / "run.sh").chmod(0o755)
    return made


def test_a_folder_comes_out_as_it_went_in(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(packed(folder))
    archive.unpack(tmp_path / "archive", tmp_path / "copy")
    names = archive.names(tmp_path / "archive")
    assert set(names) == {
        *(
            "train.py",
            "lib/deep/module.py",
            "data/large.bin",
            "run.sh",
            "naïve name.txt",
            "out/model.bin",
            "out/keep.txt",
        )
    }
    for name in names:
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "copy" / "run.sh").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "copy" / "train.py").stat().st_mode & 0o777 == 0o600


def test_the_same_files_make_the_same_archive(folder: Path, tmp_path: Path) -> None:
    first = packed(folder)
    (folder / "train.py").touch()
    (folder / "new").write_text("")
    assert packed(folder) != first
    (folder / "new").unlink()
    assert packed(folder) == first


def test_what_the_ignore_files_name_stays_here_and_the_later_file_wins(folder: Path) -> None:
    (folder / ".gitignore").write_text("out/*\n*.bin\n")
    (folder / ".allgradignore").write_text("!out/keep.txt\n!data/large.bin\n# a comment\n/lib/\n")
    found = [name for name, _ in files_of(folder)]
    assert found == [
        ".allgradignore",
        ".gitignore",
        "naïve name.txt",
        "run.sh",
        "train.py",
        "data/large.bin",
        "out/keep.txt",
    ]


def test_a_name_too_long_for_an_archive_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / ("n" * 120)).write_text("")
    with pytest.raises(InvalidRequest, match="its path is too long"):
        packed(tmp_path)
