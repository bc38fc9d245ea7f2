"""Signature version 4: whose request is it, and for which service. Checked only where credentials are configured."""

import configparser
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from caudal.errors import ConfigError
from caudal.gateway.faults import AwsError
from caudal.gateway.wire import Request

SKEW_SECONDS = 300
"""How far a request's clock may be from ours, as AWS has it."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<headers>[^,]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


class Signatures:
    """The credentials that are accepted: access key id to secret; without any, every request is."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self.credentials = credentials

    @classmethod
    def from_file(cls, path: str) -> "Signatures":
        """Those of an AWS credentials file, all its profiles; "" for none. Raises ConfigError."""
        return cls(read_credentials(path) if path else {})

    @staticmethod
    def service_of(headers: Mapping[str, str], query: str) -> str:
        """The service that a request is signed for, by its header or its presigned URL; "" without a signature."""
        found = _AUTHORIZATION.match(headers.get("authorization", ""))
        if found:
            return found["service"]
        scope = parse_qs(query).get("X-Amz-Credential", [""])[0].split("/")
        return scope[3] if len(scope) == 5 else ""

    def verify(self, request: Request) -> None:
        """Raises AwsError for a request that none of the credentials signed, as it is and in the last five minutes."""
        if not self.credentials:
            return
        found = _AUTHORIZATION.match(request.headers.get("authorization", ""))
        if found is None:
            raise AwsError("MissingAuthenticationTokenException", "Request is missing Authentication Token", status=403)
        secret = self.credentials.get(found["key"])
        if secret is None:
            raise AwsError("UnrecognizedClientException", "The security token included in the request is invalid.", status=403)
        if not hmac.compare_digest(_signature(request, found, secret), found["signature"]):
            raise AwsError(
                "InvalidSignatureException", "The request signature we calculated does not match the signature you provided. "
                "Check your AWS Secret Access Key and signing method.", status=403)
        at = request.headers.get("x-amz-date", "")
        if abs((datetime.now(UTC) - _time(at)).total_seconds()) > SKEW_SECONDS or not at.startswith(found["date"]):
            raise AwsError("InvalidSignatureException", f"Signature expired: {at}", status=403)


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise AwsError("InvalidSignatureException", "X-Amz-Date is not a time", status=403) from None


def _signature(request: Request, found: re.Match[str], secret: str) -> str:
    """The signature that the request should have."""
    signed = found["headers"].split(";")
    headers = {name: value for name, value in request.headers.items() if name in signed}
    digest = hashlib.sha256(request.body).hexdigest()
    if headers.get("x-amz-content-sha256", digest) not in (digest, "UNSIGNED-PAYLOAD"):
        raise AwsError("InvalidSignatureException", "the body is not the one that was signed", status=403)
    url = f"http://{request.headers.get('host', '')}{request.path}" + (f"?{request.query}" if request.query else "")
    auth = SigV4Auth(Credentials(found["key"], secret), found["service"], found["region"])
    asked = AWSRequest(request.method, url, headers, request.body)
    asked.context["timestamp"] = request.headers.get("x-amz-date", "")
    made: str = auth.signature(auth.string_to_sign(asked, auth.canonical_request(asked)), asked)
    return made


def read_credentials(path: str) -> dict[str, str]:
    """Access key id to secret of each profile in an AWS credentials file. Raises ConfigError."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(Path(path).read_text("utf-8"))
        made = {parser[name]["aws_access_key_id"]: parser[name]["aws_secret_access_key"] for name in parser.sections()}
    except OSError as error:
        raise ConfigError(f"gateway.credentials: {path}: {error.strerror}", hint="name an AWS credentials file") from None
    except (configparser.Error, KeyError, UnicodeDecodeError):
        made = {}
    if not made:
        told = "each [profile] has aws_access_key_id and aws_secret_access_key"
        raise ConfigError(f"gateway.credentials: {path}: is no AWS credentials file", hint=told)
    return made
