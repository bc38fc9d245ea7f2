"""What tables, databases and folders may be called."""

import re

from caudal.errors import ContractError

SHADOW = "__shadow"
"""End of the name of a table that is made anew beside another: see `caudal rebuild`."""

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,127}\Z")


def is_name(name: str) -> bool:
    """Whether a table, column, database or folder can be called so."""
    return bool(_NAME.match(name))


def check_name(what: str, name: str) -> str:
    """The name, if it can be one. Raises ContractError."""
    if not is_name(name):
        raise ContractError(f"{what} {name!r}: not a name", hint="use letters, digits and _, a letter first")
    return name


def snake(name: str) -> str:
    """`OrderLine` to `order_line`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
