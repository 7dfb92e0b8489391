import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
import s3fs

from zenlib.artifacts.fsspec import FsspecStore
from zenlib.errors import Denied, Invalid, Unavailable
from zenlib.testing.artifacts import ArtifactStoreSuite


class TestMemory(ArtifactStoreSuite):
    @pytest.fixture
    def store(self):
        return FsspecStore(f"memory://{uuid.uuid4().hex}")


class TestFile(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, tmp_path):
        return FsspecStore(f"file://{(tmp_path / 'store').as_posix()}")


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory):
    given = os.environ.get("ZENLIB_TEST_S3_ENDPOINT")
    if given:
        yield given
        return
    program = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("an S3 server is needed: pip install 'moto[server]'")
        pytest.skip("an S3 server is needed: pip install 'moto[server]'")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    server = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=subprocess.STDOUT
    )
    try:
        endpoint = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                urllib.request.urlopen(endpoint, timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield endpoint
    finally:
        server.terminate()
        server.wait()
        log.close()


@pytest.fixture
def s3_options(s3_endpoint, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return {"key": "test", "secret": "test", "endpoint_url": s3_endpoint}


@pytest.fixture(scope="module")
def bucket(s3_endpoint):
    name = f"zen-{uuid.uuid4().hex[:12]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem(
            key="test", secret="test", endpoint_url=s3_endpoint, skip_instance_cache=True
        ).mkdir(name)
    return name


class TestS3(ArtifactStoreSuite):
    @pytest.fixture
    def store(self, s3_options, bucket):
        return FsspecStore(f"s3://{bucket}/prefix-{uuid.uuid4().hex}", **s3_options)


def test_a_bucket_that_is_not_there_is_an_error_with_its_name(s3_options, tmp_path):
    store = FsspecStore("s3://no-such-bucket-here/prefix", **s3_options)
    (tmp_path / "source").write_bytes(b"abc")
    with pytest.raises((Unavailable, Denied), match="no-such-bucket-here"):
        store.put("a", tmp_path / "source")


@pytest.mark.parametrize(
    "url",
    [
        "simplecache::s3://bucket/x",
        "memory://a/../b",
        "/a/path",
        "unknown-protocol://x",
        "memory://a\0b",
        "",
    ],
)
def test_a_url_that_is_no_plain_folder_is_refused(url):
    with pytest.raises(Invalid):
        FsspecStore(url)


def test_a_failure_is_not_taken_for_an_absence(tmp_path, monkeypatch):
    store = FsspecStore("memory://failing")

    def fail(*_, **__):
        raise ConnectionError("the cable was cut")

    monkeypatch.setattr(store._fs, "info", fail)
    with pytest.raises(Unavailable, match="the cable was cut"):
        store.exists(["a"])
    with pytest.raises(Unavailable, match="memory://failing"):
        store.get("a", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_missing_rights_are_denied_in_words(monkeypatch):
    store = FsspecStore("memory://denied")

    def fail(*_, **__):
        raise PermissionError("Forbidden")

    monkeypatch.setattr(store._fs, "info", fail)
    with pytest.raises(Denied, match="check the credentials"):
        store.exists(["a"])


def test_an_interrupted_upload_leaves_no_key_and_no_other_file(tmp_path, monkeypatch):
    store = FsspecStore(f"file://{(tmp_path / 'store').as_posix()}")
    (tmp_path / "source").write_bytes(b"abc")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._fs, "mv", fail)
    with pytest.raises(Unavailable, match=r"3 bytes.*No space left"):
        store.put("a/b", tmp_path / "source")
    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_secrets_in_options_are_not_shown(tmp_path):
    assert "hush" not in repr(FsspecStore("memory://x", secret="hush"))
