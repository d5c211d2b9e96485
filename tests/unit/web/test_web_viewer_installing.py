"""OHIF written whole or not at all, and found afresh by a process that serves it."""

import fcntl
import gzip
import os
import resource
import stat
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import imagecodecs
import pytest

from pacs_cloud.errors import Conflict, InvalidRequest, Unavailable
from pacs_cloud.web.viewer import npm
from pacs_cloud.web.viewer.build import integrity_of, opened_build
from pacs_cloud.web.viewer.installed import MANIFEST, Installed, ViewerFiles, read_manifest
from pacs_cloud.web.viewer.installing import install, remove
from viewer_samples import APP, FILES, archive, package


def put(source: Path, folder: Path) -> Installed:
    with opened_build(source) as build:
        return install(build, folder, lambda _: None)


def test_what_npm_packs_is_installed_with_its_licence(tmp_path: Path) -> None:
    seen: list[int] = []
    with opened_build(archive(tmp_path)) as build:
        installed = install(build, tmp_path / "viewer", seen.append)
        assert sum(seen) == sum((build.dist / path).stat().st_size for path in build.files())
    files = ViewerFiles(tmp_path / "viewer")
    assert files.is_installed
    assert files.installed == installed
    assert (installed.version, installed.is_known) == ("3.13.2", False)
    assert (installed.scripts, installed.styles) == ((APP,), ("app.bundle.css",))
    assert "sw.js" not in installed.files
    root = f"/viewer/{installed.release}/"
    written = files.path_of(installed, APP).read_text()
    assert f'__webpack_require__.p = "{root}"' in written
    packed = files.path_of(installed, APP, is_packed=True).read_bytes()
    assert bytes(imagecodecs.brotli_decode(packed)).decode() == written
    assert installed.files["136.bundle.aa.js"].packed_digest is None
    assert (files.folder / installed.folder / "LICENSE").read_text() == "MIT"
    assert list(files.damaged(installed)) == []


def folders(folder: Path) -> set[str]:
    return {one.name for one in folder.glob("ohif-*")}


def test_another_build_takes_its_place_and_one_that_was_before_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    old = put(package(tmp_path / "a"), folder)
    files = ViewerFiles(folder)
    assert files.installed == old
    new = put(package(tmp_path / "b", **{"font.woff2": "another font"}), folder)
    assert new.release != old.release
    assert files.installed == new
    assert new.of_release(new.release) == new
    assert new.of_release(old.release) == old
    assert files.path_of(old, "font.woff2").read_text() == "a font"
    assert folders(folder) == {old.folder, new.folder}
    newest = put(package(tmp_path / "c", **{"font.woff2": "a third font"}), folder)
    assert newest.of_release(new.release) == new.model_copy(update={"previous": None})
    assert newest.of_release(old.release) is None
    assert folders(folder) == {new.folder, newest.folder}


def test_installed_again_the_one_before_stays(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    old = put(package(tmp_path / "a"), folder)
    put(package(tmp_path / "b", **{"font.woff2": "another font"}), folder)
    again = put(tmp_path / "b", folder)
    assert again.previous == old
    assert folders(folder) == {old.folder, again.folder}
    back = put(tmp_path / "a", folder)
    assert back.previous is not None
    assert (back.release, back.previous.release) == (old.release, again.release)
    assert folders(folder) == {again.folder, back.folder}


def test_a_manifest_that_is_no_use_is_in_nobody_s_way(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    put(package(tmp_path / "a"), folder)
    (folder / MANIFEST).write_text("{}")
    new = put(tmp_path / "a", folder)
    assert new.previous is None
    assert folders(folder) == {new.folder}


def test_whatever_the_umask_everybody_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    old = os.umask(0o077)
    try:
        put(package(tmp_path / "a", **{"deep/er/x.js": "var a;"}), folder)
    finally:
        os.umask(old)
    for one in (folder, *folder.rglob("*")):
        if one.name != ".lock":
            assert stat.S_IMODE(one.stat().st_mode) == (0o755 if one.is_dir() else 0o644), one


def test_a_folder_that_was_closed_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    folder.mkdir(mode=0o700)
    put(package(tmp_path / "a"), folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_what_is_there_and_cannot_be_read_is_said(tmp_path: Path) -> None:
    files = ViewerFiles(tmp_path)
    assert (files.is_installed, files.fault) == (False, "")
    (tmp_path / MANIFEST).mkdir()  # root, who may run this, may read whatever is a file
    assert (files.is_installed, files.fault) == (
        False,
        f"{tmp_path / MANIFEST} cannot be read: Is a directory",
    )
    (tmp_path / MANIFEST).rmdir()
    put(package(tmp_path / "a"), tmp_path)
    assert (files.is_installed, files.fault) == (True, "")


def test_the_same_build_is_the_same_release(tmp_path: Path) -> None:
    one = put(package(tmp_path / "a"), tmp_path / "one")
    other = put(archive(tmp_path), tmp_path / "other")
    assert one.release == other.release


@pytest.mark.parametrize(
    "changed",
    [
        {"index.html": "<p>Something else"},
        {APP: 'o.p="/"'},
        {"index.html": FILES["index.html"].replace(APP, "gone.js")},
        {"index.html": FILES["index.html"].replace("app.bundle.css", "gone.css")},
    ],
)
def test_what_is_not_known_changes_nothing(tmp_path: Path, changed: dict[str, str]) -> None:
    folder = tmp_path / "viewer"
    before = put(package(tmp_path / "a"), folder)
    with pytest.raises(InvalidRequest):
        put(package(tmp_path / "b", **changed), folder)
    assert ViewerFiles(folder).installed == before
    assert [one.name for one in folder.glob("ohif-*")] == [before.folder]


def test_one_that_is_interrupted_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    before = put(package(tmp_path / "a"), folder)

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with (
        opened_build(package(tmp_path / "b", **{"font.woff2": "another"})) as build,
        pytest.raises(KeyboardInterrupt),
    ):
        install(build, folder, interrupted)
    assert ViewerFiles(folder).installed == before
    assert [one.name for one in folder.glob("ohif-*")] == [before.folder]


def test_two_do_not_install_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    put(package(tmp_path / "a"), folder)
    with (folder / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="already"):
            put(package(tmp_path / "b"), folder)


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "viewer").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be written"):
        put(package(tmp_path / "a"), tmp_path / "viewer")


def test_removed_it_is_not_there(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    assert not remove(folder)
    put(package(tmp_path / "a"), folder)
    (folder / "notes.txt").write_text("somebody's own")
    files = ViewerFiles(folder)
    assert files.is_installed
    assert remove(folder)
    assert not files.is_installed
    assert (folder / "notes.txt").exists()
    assert list(folder.glob("ohif-*")) == []


def test_what_is_left_of_one_is_removed_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    installed = put(package(tmp_path / "a"), folder)
    (folder / MANIFEST).write_text("{}")
    assert remove(folder)
    assert not (folder / MANIFEST).exists()
    (folder / installed.folder).mkdir()  # whose installation was broken off
    assert remove(folder)
    assert folders(folder) == set()
    assert not remove(folder)


def test_damage_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    installed = put(package(tmp_path / "a"), folder)
    files = ViewerFiles(folder)
    files.path_of(installed, "font.woff2").write_text("x")
    files.path_of(installed, APP, is_packed=True).unlink()
    assert sorted(files.damaged(installed)) == [f"{APP}.br", "font.woff2"]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"folder": "../../etc"}'])
def test_a_manifest_that_cannot_be_read_serves_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    assert not ViewerFiles(tmp_path).is_installed
    with pytest.raises(Unavailable, match="cannot be read"):
        read_manifest(tmp_path)


def test_an_archive_writes_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "temporary"
    here.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(here))
    path = archive(tmp_path)
    with gzip.open(path) as packed:
        whole = BytesIO(packed.read())
    with tarfile.open(fileobj=whole, mode="a") as tar:
        member = tarfile.TarInfo("package/dist/../../../evil.js")
        member.size = 1
        tar.addfile(member, BytesIO(b"x"))
    path.write_bytes(gzip.compress(whole.getvalue()))
    with pytest.raises(InvalidRequest, match="no archive"), opened_build(path):
        pass
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"text", b"\x1f\x8b\x08\x00rubbish"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.tgz"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest), opened_build(path):
        pass


def test_what_npm_fetched_has_to_be_what_was_meant(tmp_path: Path) -> None:
    path = archive(tmp_path)
    with pytest.raises(InvalidRequest, match="digest"), opened_build(path, is_known_needed=True):
        pass
    assert integrity_of(path).startswith("sha512-")


@pytest.mark.parametrize("version", ["", "1.0; rm", "../x", "latest\n"])
def test_npm_is_asked_for_versions_only(tmp_path: Path, version: str) -> None:
    with pytest.raises(InvalidRequest, match="no version"):
        npm.fetch(version, tmp_path)


def test_where_npm_is_absent_it_is_said_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidRequest, match=r"npm pack @ohif/app@3.13.2.*--from FILE"):
        npm.fetch("3.13.2", tmp_path)


def test_what_npm_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "npm"
    program.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="code ENOTFOUND"):
        npm.fetch("3.13.2", tmp_path)


def _packed(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """Return npm's archive with more in it."""
    path = archive(folder)
    with gzip.open(path) as packed:
        whole = BytesIO(packed.read())
    with tarfile.open(fileobj=whole, mode="a") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    path.write_bytes(gzip.compress(whole.getvalue(), 0, mtime=0))
    return path


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_an_archive_with_links_is_refused(tmp_path: Path, kind: bytes) -> None:
    link = tarfile.TarInfo("package/dist/link.js")
    link.type, link.linkname = kind, APP if kind == tarfile.SYMTYPE else f"package/dist/{APP}"
    with pytest.raises(InvalidRequest, match="link"), opened_build(_packed(tmp_path, (link, b""))):
        pass


def test_an_archive_that_was_damaged_on_its_way_is_refused(tmp_path: Path) -> None:
    path = _packed(tmp_path, (tarfile.TarInfo("package/dist/more.js"), b"var one = 1;"))
    whole = path.read_bytes()
    assert whole.count(b"var one = 1;") == 1  # it lies there as it is
    path.write_bytes(whole.replace(b"var one = 1;", b"var two = 2;"))
    with pytest.raises(InvalidRequest, match="no archive"), opened_build(path):
        pass
    middle = bytearray(archive(tmp_path).read_bytes())
    middle[40:60] = bytes(20)
    path.write_bytes(middle)
    with pytest.raises(InvalidRequest, match="no archive"), opened_build(path):
        pass


def test_what_a_folder_only_points_at_is_not_served(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    folder = package(tmp_path / "a")
    (folder / "dist" / "config.json").symlink_to(secret)
    assert "config.json" not in put(folder, tmp_path / "viewer").files


def test_a_page_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = package(tmp_path / "a")
    (folder / "dist" / "index.html").write_bytes(b"\xff\xfe\x00rubbish")
    with pytest.raises(InvalidRequest, match="index"):
        put(folder, tmp_path / "viewer")


def test_a_build_that_cannot_be_read_is_not_said_to_be_where_it_goes(tmp_path: Path) -> None:
    with opened_build(package(tmp_path / "a")) as build:
        font = build.dist / "font.woff2"
        with pytest.raises(InvalidRequest, match=r"font\.woff2 cannot be read: No such file"):
            install(build, tmp_path / "viewer", lambda _: font.unlink(missing_ok=True))
    assert folders(tmp_path / "viewer") == set()


@contextmanager
def full_disk(length_bytes: int) -> Generator[None]:
    """Let no file grow beyond that, as a disk that is full would not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_not_called_a_bad_archive(tmp_path: Path) -> None:
    source = archive(tmp_path)
    with (
        full_disk(1000),
        pytest.raises(Unavailable, match="cannot be written: File too large"),
        opened_build(source),
    ):
        pass


def test_a_disk_that_fills_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    before = put(package(tmp_path / "a"), folder)
    with (
        opened_build(package(tmp_path / "b", **{"font.woff2": "another"})) as build,
        full_disk(1000),
        pytest.raises(Unavailable, match="cannot be written: File too"),
    ):
        install(build, folder, lambda _: None)
    assert ViewerFiles(folder).installed == before
    assert folders(folder) == {before.folder}
