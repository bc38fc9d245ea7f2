"""Objects of S3 for the other services: code, deliveries, query results, models."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from caudal.errors import BackendError, NotFound, Unavailable


class Object(NamedTuple):
    """An object that is there."""

    key: str
    size: int
    etag: str
    modified: datetime


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. Raises NotFound for what is no such URL."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme not in ("s3", "s3a") or not bucket:
        raise NotFound(f"{url} is no S3 location", hint="write s3://bucket/prefix/")
    return bucket, key


class Objects:
    """The S3 server's objects; `url` gives its address once it is up."""

    def __init__(self, url: Callable[[], str], credentials: Mapping[str, str], region: str) -> None:
        self._url, self._credentials, self._region = url, credentials, region

    @cached_property
    def _s3(self) -> Any:
        key, secret = next(iter(self._credentials.items()), ("caudal", "caudal"))
        return boto3.client(
            "s3", endpoint_url=self._url(), region_name=self._region, aws_access_key_id=key, aws_secret_access_key=secret,
            config=Config(retries={"total_max_attempts": 5, "mode": "standard"}, max_pool_connections=32),
        )

    def get(self, bucket: str, key: str, first: int = 0) -> bytes:
        """The bytes of an object, or the `first` so many of one that is not empty. Raises NotFound."""
        part = {"Range": f"bytes=0-{first - 1}"} if first else {}
        with _translated(bucket, key):
            data: bytes = self._s3.get_object(Bucket=bucket, Key=key, **part)["Body"].read()
        return data

    def put(self, bucket: str, key: str, data: bytes, **headers: str) -> None:
        """Write an object, replacing any of that name; `headers` as boto3's put_object has them. Raises NotFound."""
        with _translated(bucket, key):
            self._s3.put_object(Bucket=bucket, Key=key, Body=data, **headers)

    def upload(self, bucket: str, key: str, file: Path) -> None:
        """Write a file as an object, in parts if it is large. Raises NotFound."""
        with _translated(bucket, key):
            self._s3.upload_file(str(file), bucket, key)

    def download(self, bucket: str, key: str, file: Path) -> None:
        """Write an object to a file. Raises NotFound."""
        with _translated(bucket, key):
            self._s3.download_file(bucket, key, str(file))

    def list(self, bucket: str, prefix: str = "") -> Iterator[Object]:
        """Objects whose key starts with `prefix`, folders' marks left out. Raises NotFound."""
        with _translated(bucket, prefix):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", []):
                    if not item["Key"].endswith("/"):
                        yield Object(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"])

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""
        with _translated(bucket, key):
            self._s3.delete_object(Bucket=bucket, Key=key)

    def etag(self, bucket: str, key: str) -> str:
        """What changes when an object does. Raises NotFound."""
        with _translated(bucket, key):
            found: str = self._s3.head_object(Bucket=bucket, Key=key)["ETag"]
        return found

    def has_bucket(self, bucket: str) -> bool:
        """Whether there is such a bucket."""
        try:
            self._s3.head_bucket(Bucket=bucket)
        except ClientError:
            return False
        return True


@contextmanager
def _translated(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("NoSuchKey", "404", "NoSuchBucket"):
            raise NotFound(f"s3://{bucket}/{key}: {'no such bucket' if code == 'NoSuchBucket' else 'no such object'}") from None
        raise BackendError(f"s3://{bucket}/{key}: S3 says {code}") from error
    except BotoCoreError as error:
        raise Unavailable(f"s3://{bucket}/{key}: S3 cannot be reached: {error}", hint="try again") from error
