"""What the tests that ask caudal and moto the same share: asking, answers made alike, and differences that are known."""

import re
import warnings
from datetime import datetime
from decimal import Context, Decimal
from typing import NamedTuple

import boto3
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import HealthCheck, settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of moto's own dependencies
    from moto import mock_aws  # noqa: F401

BOUNDED = settings(
    max_examples=settings.default.max_examples // 5, deadline=None, suppress_health_check=list(HealthCheck),
    derandomize=settings.default.max_examples <= 100,  # a difference of moto's that nobody has seen yet is no fault of today's change
)

_EXACT = Context(prec=200)


class Difference(NamedTuple):
    """Where moto and AWS's documentation part."""

    operation: str
    """A pattern of it, as the outcomes are: "ok", or an error's code and message."""
    caudal: str
    moto: str
    reason: str
    after: frozenset[str] = frozenset()
    """Operations of which one must have succeeded before."""
    given: str = ""
    """A pattern that the request's text has in it."""


class Outcome(NamedTuple):
    """What a call does."""

    told: str
    answer: object


def moto(service):
    """A client of moto's, in this process."""
    return boto3.client(service, region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")


def ask(call, members, ignored, told=False):
    """The outcome of a call: "ok" and the answer without what is ignored, or the error's code, with its message if `told`."""
    try:
        return Outcome("ok", normal(call(**members), ignored))
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        shown = {name: error.response[name] for name in ("Item", "CancellationReasons") if name in error.response}
        # Some of AWS's messages begin with a count of errors, and which do changes with time.
        message = re.sub(r"1 validation error detected: ", "", message)
        return Outcome(f"{code}: {message}" if told else code, normal(shown, ignored) if told else None)
    except ParamValidationError:
        return Outcome("invalid", None)
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:  # moto's: it runs here
        return Outcome(f"fault: {type(error).__name__}", None)


def normal(value, ignored):
    """An answer without what no two services share; sets and numbers in one form."""
    if isinstance(value, dict):
        if len(value) == 1 and (found := _normal_value(*next(iter(value.items())))):
            return found
        return {name: normal(each, ignored) for name, each in sorted(value.items()) if name not in ignored and each not in (None, [])}
    if isinstance(value, list):
        return [normal(each, ignored) for each in value]
    return "time" if isinstance(value, datetime) else value


def _normal_value(kind, inner):
    """One of DynamoDB's values, None for what is none."""
    try:
        if kind == "N":
            return {kind: format(Decimal(inner).normalize(_EXACT), "f")}
        if kind in ("SS", "BS", "NS") and isinstance(inner, list):
            each = [format(Decimal(e).normalize(_EXACT), "f") for e in inner] if kind == "NS" else inner
            return {kind: sorted(each)}
        if kind in ("L", "M") and not inner:
            return {kind: inner}
    except (ArithmeticError, TypeError):
        pass
    return None


def explained(differences, operation, ours, theirs, done=frozenset(), given=""):
    """The known difference that this is, None if it is none."""
    return next((
        each for each in differences
        if re.fullmatch(each.operation, operation) and re.fullmatch(each.caudal, ours, re.S) and re.fullmatch(each.moto, theirs, re.S)
        and (not each.after or each.after & done) and re.search(each.given, given)
    ), None)
