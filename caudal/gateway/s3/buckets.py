"""The list of all buckets, as S3 answers it."""

import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple
from xml.sax.saxutils import escape

import msgspec

from caudal.errors import Unavailable

MOST = 10_000
"""Buckets on a page, as S3 has it."""


class Bucket(NamedTuple):
    """One bucket."""

    name: str
    created: str
    """ISO 8601."""


def read_buckets(filer: str) -> list[Bucket]:
    """Every bucket that SeaweedFS keeps, by the URL of its filer; sorted. Raises Unavailable."""
    found: list[Bucket] = []
    while True:
        after = urllib.parse.urlencode({"limit": MOST, "lastFileName": found[-1].name if found else ""})
        asked = urllib.request.Request(f"{filer}/buckets/?{after}", headers={"accept": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                entries = msgspec.json.decode(answer.read())["Entries"] or []
        except urllib.error.HTTPError as error:
            if error.code == 404:  # there never was one
                return []
            raise Unavailable(f"S3's filer says {error.code}", hint="try again") from error
        except OSError as error:
            raise Unavailable(f"S3 cannot be reached: {error}", hint="try again") from error
        found += [Bucket(entry["FullPath"].rpartition("/")[2], entry["Crtime"]) for entry in entries]
        if len(entries) < MOST:
            return sorted(bucket for bucket in found if not bucket.name.startswith("."))


def listed(buckets: list[Bucket], query: str) -> bytes:
    """The answer of ListBuckets: those of the prefix, past the token, no more than the page takes."""
    asked = dict(urllib.parse.parse_qsl(query))
    most = asked.get("max-buckets", "")
    size = min(MOST, int(most)) if most.isascii() and most.isdigit() and len(most) < 10 and int(most) else MOST
    prefix, after = asked.get("prefix", ""), asked.get("continuation-token", "")
    rest = [bucket for bucket in buckets if bucket.name.startswith(prefix) and bucket.name > after]
    shown = "".join(
        f"<Bucket><Name>{escape(bucket.name)}</Name><CreationDate>{escape(bucket.created)}</CreationDate></Bucket>"
        for bucket in rest[:size]
    )
    token = f"<ContinuationToken>{escape(rest[size - 1].name)}</ContinuationToken>" if len(rest) > size else ""
    owner = "<Owner><ID>000000000000</ID><DisplayName>root</DisplayName></Owner>"
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{owner}<Buckets>{shown}</Buckets>{token}</ListAllMyBucketsResult>"
    ).encode()
