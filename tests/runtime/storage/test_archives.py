"""Archives from strangers: nothing but files and folders, nothing outside the root, nothing beyond the bounds."""

import contextlib
import gzip
import io
import os
import random
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from haizen_runtime.storage import DownloadError, Limits, fetch
from haizen_runtime.storage.archives import unpack
from haizen_runtime.storage.limits import MIB
from haizen_runtime.storage.paths import UnsafePath, first_collision, safe_relative


def tar_of(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", size: int = 5) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size if kind == tarfile.REGTYPE else 0
    return info, b"x" * info.size


def zip_of(*names: str, mode: int = 0, content: bytes = b"12345", flags: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.create_system, info.external_attr = 3, mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    data = buffer.getvalue()
    if flags:
        data = data.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00" + struct.pack("<H", flags)
        )
    return data


def giant_header() -> bytes:
    """A pax header that claims 8 GiB, which tarfile would read into memory in one piece."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 8 << 30
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096)


LINK = tarfile.SYMTYPE
REFUSED: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "absolute": ("tgz", lambda: tar_of(member("/etc/cron.d/x")), "absolute path"),
    "dot dot": ("tgz", lambda: tar_of(member("../../etc/x")), "'..'"),
    "dot dot in the middle": ("tgz", lambda: tar_of(member("a/../../x")), "'..'"),
    "dot dot that stays inside": ("tgz", lambda: tar_of(member("a/../x")), "'..'"),
    "symlink out": ("tgz", lambda: tar_of(member("l", LINK, "/etc"), member("l/x")), "symbolic link"),
    "symlink inside": ("tgz", lambda: tar_of(member("a"), member("b", LINK, "a")), "symbolic link"),
    "symlink chain past PATH_MAX": (
        "tgz", lambda: tar_of(*[member("d" * 200 + f"/{n}", LINK, "d" * 200) for n in range(20)]), "symbolic link",
    ),
    "hard link to /etc/passwd": ("tgz", lambda: tar_of(member("p", tarfile.LNKTYPE, "/etc/passwd")), "hard link"),
    "hard link inside": ("tgz", lambda: tar_of(member("a"), member("b", tarfile.LNKTYPE, "a")), "hard link"),
    "character device": ("tgz", lambda: tar_of(member("null", tarfile.CHRTYPE)), "device"),
    "block device": ("tgz", lambda: tar_of(member("sda", tarfile.BLKTYPE)), "device"),
    "named pipe": ("tgz", lambda: tar_of(member("pipe", tarfile.FIFOTYPE)), "named pipe"),
    "the same name twice": ("tgz", lambda: tar_of(member("a"), member("a")), "same name"),
    "a file used as a folder": ("tgz", lambda: tar_of(member("a"), member("a/b")), "same name"),
    "backslashes": ("tar", lambda: tar_of(member("..\\..\\x"), mode="w"), "'..'"),
    "a name of ours": ("tgz", lambda: tar_of(member(".haizen-model.json")), "haizen's own"),
    "no files": ("tgz", lambda: tar_of(member("d", tarfile.DIRTYPE)), "holds no files"),
    "not an archive": ("tgz", lambda: b"hello world, this is no archive" * 40, "broken or no tgz"),
    "cut archive": ("tgz", lambda: tar_of(member("a", size=100_000))[:-20], "broken"),
    "giant pax header": ("tgz", giant_header, "header of 85899"),
    "zip absolute": ("zip", lambda: zip_of("/etc/x"), "absolute path"),
    "zip dot dot": ("zip", lambda: zip_of("../x"), "'..'"),
    "zip drive": ("zip", lambda: zip_of("C:/x"), "absolute path"),
    "zip backslashes": ("zip", lambda: zip_of("..\\x"), "'..'"),
    "zip symlink": ("zip", lambda: zip_of("l", mode=stat.S_IFLNK | 0o777, content=b"/etc/passwd"), "symbolic link"),
    "zip device": ("zip", lambda: zip_of("d", mode=stat.S_IFCHR | 0o666), "device"),
    "zip encrypted": ("zip", lambda: zip_of("a", flags=1), "encrypted"),
    "zip with a broken checksum": ("zip", lambda: zip_of("a").replace(b"34\x03\x00", b"35\x03\x00"), "broken|refused"),
    "zip cut": ("zip", lambda: zip_of("a")[:-30], "broken"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_bad_archive_is_refused_and_leaves_nothing(tmp_path: Path, case: str) -> None:
    kind, make, words = REFUSED[case]
    if case == "zip with a broken checksum":
        data = bytearray(make())
        data[14] ^= 0xFF  # the CRC in the local header and in the table of contents
        data[data.index(b"PK\x01\x02") + 16] ^= 0xFF
        content = bytes(data)
    else:
        content = make()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / f"model.{kind}").write_bytes(content)

    with pytest.raises(DownloadError, match=words) as caught:
        fetch(str(tmp_path / "src" / f"model.{kind}"), tmp_path / "work" / "m", environ={})

    assert caught.value.reason == "ModelDownloadFailed"
    assert not (tmp_path / "work" / "m").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["src", "work"]


def zeros(size: int) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as packed:
        info = tarfile.TarInfo("zeros")
        info.size = size
        packed.write(info.tobuf())
        for _ in range(size // MIB):
            packed.write(bytes(MIB))
        packed.write(bytes(1024))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "make", "limits", "words"),
    [
        pytest.param("tgz", lambda: zeros(200 * MIB), Limits(), "100 times its size", id="tgz bomb by ratio"),
        pytest.param("zip", lambda: zip_of("a", content=bytes(200 * MIB)), Limits(), "100 times", id="zip bomb"),
        pytest.param("zip", lambda: zip_of(*"abc", content=bytes(MIB)), Limits(max_unpacked_bytes=2 * MIB),
                     "more than 2.0 MiB", id="total over all members"),
        pytest.param("tar", lambda: tar_of(*[member(f"{n}") for n in range(11)], mode="w"), Limits(max_files=10),
                     "more than 10 members", id="too many members"),
        pytest.param("tgz", lambda: tar_of(*[member(f"{n}", tarfile.DIRTYPE) for n in range(11)]), Limits(max_files=10),
                     "more than 10 members", id="too many folders"),
    ],
)  # fmt: skip
def test_bounds_hold(tmp_path: Path, kind: str, make: Callable[[], bytes], limits: Limits, words: str) -> None:
    archive, root = tmp_path / f"m.{kind}", tmp_path / "root"
    archive.write_bytes(make())
    root.mkdir()

    with pytest.raises(DownloadError, match=words):
        unpack(archive, kind, root, limits, "uri")

    written = sum(path.stat().st_size for path in root.rglob("*"))
    assert written <= max(64 * MIB, limits.max_unpack_ratio * archive.stat().st_size)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("m.tar", lambda: tar_of(member("d/", tarfile.DIRTYPE), member("./d/a"), mode="w"), id="tar"),
        pytest.param("m.tar.gz", lambda: tar_of(member("d/a")), id="tar.gz"),
        pytest.param("m.tgz", lambda: tar_of(member("d/a"), mode="w"), id="tgz that is a plain tar"),
        pytest.param("M.ZIP", lambda: zip_of("d/a", content=b"xxxxx"), id="zip"),
        pytest.param("p.tgz", lambda: tar_of(member("d/a", size=5), member("long/" + "n" * 150)), id="a long name"),
    ],
)
def test_a_good_archive_is_unpacked(tmp_path: Path, name: str, content: Callable[[], bytes]) -> None:
    (tmp_path / name).write_bytes(content())

    place = fetch(str(tmp_path / name), tmp_path / "m", environ={})

    assert (place / "d/a").read_bytes() == b"xxxxx"
    assert stat.S_IMODE((place / "d/a").stat().st_mode) & 0o133 == 0
    assert not (place / name).exists()


def test_an_archive_in_an_archive_stays_packed(tmp_path: Path) -> None:
    inner = tar_of(member("x"))
    info = tarfile.TarInfo("inner.tar.gz")
    info.size = len(inner)
    (tmp_path / "m.tgz").write_bytes(tar_of((info, inner)))

    place = fetch(str(tmp_path / "m.tgz"), tmp_path / "m", environ={})

    assert (place / "inner.tar.gz").read_bytes() == inner


def test_a_mar_archive_is_a_model_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "m.mar").write_bytes(zip_of("a"))

    assert (fetch(str(tmp_path / "m.mar"), tmp_path / "m", environ={}) / "m.mar").read_bytes() == zip_of("a")


def test_any_bytes_as_an_archive_give_files_or_a_download_error(tmp_path: Path) -> None:
    good = tar_of(*[member(f"f{n}", size=2000) for n in range(20)], mode="w")
    rng = random.Random(7)
    for number in range(150):
        data = bytearray(good)
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        root = tmp_path / f"r{number}"
        root.mkdir()
        archive = tmp_path / "m.tar"
        archive.write_bytes(data)
        with contextlib.suppress(DownloadError):
            unpack(archive, "tar", root, Limits(), "uri")
        assert all(path.is_file() or path.is_dir() for path in root.rglob("*"))
    assert {path.name[0] for path in tmp_path.iterdir()} <= {"r", "m"}


COMPONENT = st.sampled_from(["..", ".", "", "a", "b c", "C:", "\\", "..\\", "é", "\0", "a\n", "x" * 256, "~", "..."])


@given(st.one_of(st.lists(COMPONENT, max_size=8).map("/".join), st.text(max_size=40)))
@example("/")
@example("..")
@example("a/..")
@example("\\\\host\\share")
@example("\ud800")
def test_an_accepted_name_stays_below_the_root(name: str) -> None:
    try:
        path = safe_relative(name)
    except UnsafePath:
        return
    assert not path.startswith("/")
    assert os.path.normpath(f"/root/{path}").startswith("/root")
    assert os.path.normpath(path or ".") == (path or ".")
    assert safe_relative(path) == path


@given(st.lists(st.sampled_from(["a", "b", "a/b", "a/b/c", "b/a", "c"]), max_size=5))
def test_a_collision_is_found_exactly_when_the_names_cannot_all_be_files(paths: list[str]) -> None:
    clash = any(
        first == second or second.startswith(f"{first}/") or first.startswith(f"{second}/")
        for number, first in enumerate(paths)
        for second in paths[number + 1 :]
    )
    assert (first_collision(sorted(paths)) is not None) == clash
