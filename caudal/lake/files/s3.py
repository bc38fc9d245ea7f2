"""Objects in S3, or in anything that speaks its protocol and has conditional puts."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from caudal.errors import AlreadyExists, BackendError, ConfigError, NotFound, Unavailable
from caudal.lake.files.port import FileInfo, Files, check_path, check_prefix

OPTIONS = {"endpoint", "region"}
TRIES = 5
"""Attempts, with longer waits each time, before an error is told."""
_MARK = "caudal-put"
"""Metadata that says whose put made an object: an answer may be lost after the put."""


class S3Files(Files):
    """`s3://bucket/prefix`, with `?endpoint=http://…` for a store that is not AWS's; credentials as AWS's clients find them.

    A folder is an empty object whose name ends in `/`, so that no object can take its name. Of two processes that make a
    folder and an object of one name in the same moment both may succeed.
    """

    def __init__(self, bucket: str, prefix: str, endpoint: str | None, region: str | None) -> None:
        retries = {"total_max_attempts": TRIES, "mode": "standard"}
        self._s3 = boto3.client("s3", endpoint_url=endpoint, region_name=region, config=Config(retries=retries))
        self._bucket = bucket
        self._prefix = prefix
        self._made: set[str] = {""}

    @classmethod
    def open(cls, url: str) -> Self:
        parts = urlsplit(url)
        options = parse_qs(parts.query)
        if not parts.netloc or options.keys() - OPTIONS or any(len(values) > 1 for values in options.values()):
            raise ConfigError(f"{parts.scheme}://{parts.netloc}{parts.path}: is not a bucket and a prefix",
                              hint="write s3://bucket/prefix, or s3://bucket/prefix?endpoint=http://127.0.0.1:8333&region=us-east-1")
        prefix = parts.path.strip("/")
        if prefix:
            check_path(prefix)
        given = {name: values[0] for name, values in options.items()}
        return cls(parts.netloc, f"{prefix}/" if prefix else "", given.get("endpoint"), given.get("region"))

    def put(self, path: str, data: bytes | memoryview) -> None:
        folder = check_path(path).rpartition("/")[0]
        with _translated(path):
            self._make_folder(folder)
            if self._head(f"{path}/") is not None:
                raise AlreadyExists(f"{path} is a folder")
            self._put_absent(path, data)

    def get(self, path: str) -> bytes:
        with _translated(check_path(path)):
            body: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"].read()
        return body

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        check_prefix(prefix)
        with _translated(prefix):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            found = [
                FileInfo(item["Key"].removeprefix(self._prefix), item["Size"])
                for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")
            ]
        return iter(sorted(found))  # S3 itself sorts by bytes; not all that speak its protocol do

    def delete(self, path: str) -> None:
        with _translated(check_path(path)):
            self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + path)

    def written(self, path: str) -> int | None:
        with _translated(check_path(path)):
            head = self._head(path)
        return int(1e6 * head["LastModified"].timestamp()) if head is not None else None

    def location(self, path: str) -> str | None:
        check_path(path)
        return None

    def _make_folder(self, folder: str) -> None:
        """Raises AlreadyExists if an object stands in its place."""
        if folder in self._made:
            return
        self._make_folder(folder.rpartition("/")[0])
        if self._head(folder) is not None:
            raise AlreadyExists(f"{folder} is an object, not a folder")
        self._s3.put_object(Bucket=self._bucket, Key=f"{self._prefix}{folder}/", Body=b"")
        self._made.add(folder)

    def _put_absent(self, path: str, data: bytes | memoryview) -> None:
        mine = uuid.uuid4().hex
        key = self._prefix + path
        for attempt in range(TRIES):
            try:
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=bytes(data), IfNoneMatch="*", Metadata={_MARK: mine})
                return
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == "ConditionalRequestConflict":  # another put of it is under way
                    time.sleep(0.05 * 2**attempt)
                    continue
                if code != "PreconditionFailed":
                    raise
                head = self._head(path)
                if head is not None and head["Metadata"].get(_MARK) == mine:
                    return
                raise AlreadyExists(f"{path} is there already") from None
        raise Unavailable(f"{path}: others are putting it", hint="try again")

    def _head(self, path: str) -> dict[str, Any] | None:
        """What S3 says of an object; None if there is none."""
        try:
            found: dict[str, Any] = self._s3.head_object(Bucket=self._bucket, Key=self._prefix + path)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return found


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn the client's errors into caudal's."""
    try:
        yield
    except ClientError as error:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code == "NoSuchKey":
            raise NotFound(f"no object {path}") from None
        if code in ("NoSuchBucket", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403"):
            raise BackendError(f"{path}: S3 says {code}", hint="check the bucket, the credentials and their rights") from error
        if status >= 500 or code == "SlowDown":
            raise Unavailable(f"{path}: S3 says {code}", hint="try again") from error
        raise BackendError(f"{path}: S3 says {code}") from error
    except BotoCoreError as error:
        raise Unavailable(f"{path}: S3 cannot be reached: {error}", hint="check endpoint and network, then try again") from error
