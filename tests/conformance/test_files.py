"""Every place for objects keeps the promises of its port."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from caudal.errors import BackendError, ConfigError, Unavailable, UsageError
from caudal.gateway.s3.server import S3Server
from caudal.lake.files import BACKENDS, open_files
from caudal.testing import FilesSuite


class TestMemoryFiles(FilesSuite):
    scheme = "memory"
    processes = False

    def url(self, folder: Path) -> str:
        return f"memory:{folder}"


class TestLocalFiles(FilesSuite):
    scheme = "file"

    def url(self, folder: Path) -> str:
        return f"file:{folder}/lake"

    def test_halves_of_objects_are_invisible_and_swept_an_hour_later(self, tmp_path):
        files = open_files(self.url(tmp_path))
        halves = [tmp_path / "lake/.half" / name for name in ("young", "old")]
        for half in halves:
            half.write_bytes(b"ha")
        os.utime(halves[1], (time.time() - 7200,) * 2)
        assert list(files.list()) == []
        open_files(self.url(tmp_path))
        assert [half.exists() for half in halves] == [True, False]

    def test_what_it_makes_is_private_to_its_user(self, tmp_path):
        open_files(self.url(tmp_path)).put("a/b/c", b"1")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "lake").rglob("*")}
        assert modes == {".half": 0o700, "a": 0o700, "b": 0o700, "c": 0o600}

    def test_a_link_that_leads_out_of_the_place_is_not_followed_by_a_list(self, tmp_path):
        files = open_files(self.url(tmp_path))
        (tmp_path / "lake/out").symlink_to("/etc")
        assert list(files.list()) == []

    def test_no_space_is_an_error_that_says_try_again_and_leaves_nothing(self, tmp_path):
        script = """
import resource, sys
from caudal.errors import Unavailable
from caudal.lake.files import open_files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
files = open_files(sys.argv[1])
try:
    files.put("a/b", b"x" * 5000)
except Unavailable as error:
    assert error.retry
    assert not list(files.list())
else:
    sys.exit(1)
"""
        subprocess.run([sys.executable, "-c", script, self.url(tmp_path)], check=True, timeout=60)
        assert list((tmp_path / "lake/.half").iterdir()) == []

    def test_a_disk_that_becomes_read_only_is_an_error_that_says_try_again(self, tmp_path, monkeypatch):
        files = open_files(self.url(tmp_path))

        def refuse(*_, **__):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        with monkeypatch.context() as disk:
            disk.setattr(os, "link", refuse)
            disk.setattr(os, "unlink", refuse)
            with pytest.raises(Unavailable, match="Read-only"):
                files.put("a/b", b"1")
        files.put("a/b", b"1")
        assert files.get("a/b") == b"1"

    def test_a_place_that_cannot_be_is_an_error_of_ours(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(BackendError):
            open_files(f"file:{tmp_path}/file")
        with pytest.raises(BackendError):
            open_files(f"file:{tmp_path}/file/below")
        with pytest.raises(ConfigError):
            open_files("file:")

    @pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
    def test_a_folder_without_permission_is_an_error_of_ours(self, tmp_path):
        files = open_files(self.url(tmp_path))
        (tmp_path / "lake").chmod(0o500)
        try:
            with pytest.raises(Unavailable):
                files.put("a/b", b"1")
        finally:
            (tmp_path / "lake").chmod(0o700)


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A real S3 server, and credentials for it in the environment."""
    server = S3Server(tmp_path_factory.mktemp("s3"), {})
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        boto3.client("s3", endpoint_url=server.url(), region_name="us-east-1").create_bucket(Bucket="lake")
        yield server
    server.close()


class TestS3Files(FilesSuite):
    scheme = "s3"

    @pytest.fixture(autouse=True)
    def _server(self, s3):
        self.server = s3

    def url(self, folder: Path) -> str:
        return f"s3://lake/{folder.name.replace('[', '-').replace(']', '')}?endpoint={self.server.url()}&region=us-east-1"

    def test_a_large_object_comes_back(self, tmp_path):
        data = os.urandom(70_000_000)
        files = open_files(self.url(tmp_path))
        files.put("a/large", data)
        assert files.get("a/large") == data

    def test_a_bucket_that_is_not_there_is_an_error_of_ours(self):
        with pytest.raises(BackendError, match="NoSuchBucket"):
            open_files(f"s3://nowhere/x?endpoint={self.server.url()}&region=us-east-1").get("a")

    def test_a_server_that_is_not_there_may_be_tried_again(self):
        with pytest.raises(Unavailable):
            open_files("s3://lake/x?endpoint=http://127.0.0.1:9&region=us-east-1").get("a")

    @pytest.mark.parametrize("url", ["s3:", "s3:lake", "s3:///x", "s3://lake/x?colour=red", "s3://lake/../x"])
    def test_a_url_that_names_no_place_is_refused(self, url):
        with pytest.raises(UsageError):
            open_files(url)


def test_every_back_end_has_a_suite():
    assert {suite.scheme for suite in FilesSuite.__subclasses__()} == set(BACKENDS)
