"""What can be set about an algorithm: declared once, in the algorithm's file, and checked here."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

import msgspec

from caudal.errors import ContractError

Days = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Base of an algorithm's settings: a field each, with its default."""


Chosen = TypeVar("Chosen", bound=Options)


def choose(kind: type[Chosen], given: Mapping[str, Any]) -> Chosen:
    """The settings, with defaults for those not given. Raises ContractError for an unknown or impossible one."""
    known = kind.__struct_fields__
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f"did you mean {near[0]!r}? There are {', '.join(known)}" if near else "it has no options"
            raise ContractError(f"there is no option {name!r}", hint=hint)
    try:
        return msgspec.convert(dict(given), kind)
    except msgspec.ValidationError as error:
        raise ContractError(f"an option cannot be so: {error}") from error
