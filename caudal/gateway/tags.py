"""Tags of resources, kept by name or ARN."""

from collections.abc import Iterable, Mapping
from typing import Any

from caudal.gateway.documents import Documents
from caudal.gateway.faults import AwsError
from caudal.gateway.pages import page_after


class Tags:
    """The tags of one service's resources."""

    def __init__(self, documents: Documents, service: str) -> None:
        self._documents = documents
        self._kind = f"{service}.tags"

    def get(self, resource: str) -> dict[str, str]:
        """A resource's tags, sorted by key."""
        return dict(sorted((self._documents.get(self._kind, resource) or {}).items()))

    def shown(self, resource: str) -> list[dict[str, str]]:
        """A resource's tags, as services list them."""
        return [{"Key": key, "Value": value} for key, value in self.get(resource).items()]

    def page(self, resource: str, after: str, limit: int) -> dict[str, Any]:
        """Some of them, past a key, as Kinesis and Firehose answer."""
        found, more = page_after(((tag["Key"], tag) for tag in self.shown(resource)), after, limit)
        return {"Tags": found, "HasMoreTags": more is not None}

    def set(self, resource: str, tags: Mapping[str, str]) -> None:
        """Give a resource these tags in place of those it has."""
        if tags or self._documents.get(self._kind, resource):
            self._documents.put(self._kind, resource, dict(tags))

    def add(self, resource: str, tags: Mapping[str, str]) -> None:
        """Add tags, or change what they say."""
        self.set(resource, {**self.get(resource), **tags})

    def remove(self, resource: str, keys: Iterable[str]) -> None:
        """Take tags away."""
        gone = set(keys)
        self.set(resource, {key: value for key, value in self.get(resource).items() if key not in gone})

    def drop(self, resource: str) -> None:
        """Forget a resource."""
        self._documents.remove(self._kind, resource)


def read_tags(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Key to value, of tags as services are given them. Raises AwsError."""
    listed = list(tags or ())
    if any("Key" not in tag for tag in listed):
        raise AwsError("InvalidRequestException", "a tag has no Key")
    return {tag["Key"]: tag.get("Value", "") for tag in listed}
