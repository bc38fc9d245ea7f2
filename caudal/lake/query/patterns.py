"""Patterns that somebody gives us: none of them may hold a thread by trying again and again how it could fit."""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc


def fitting(texts: Sequence[str], pattern: str) -> list[bool]:
    """Whether each text as a whole fits a regular expression, in RE2's syntax and time, in upper or lower case.

    Raises ValueError if it is none.
    """
    try:
        pc.match_substring_regex(pa.array([""]), pattern=pattern)  # by itself: `a)|(b` is none, though within (?:…) it would be
        found = pc.match_substring_regex(pa.array(texts, pa.string()), pattern=f"^(?:{pattern})$", ignore_case=True)
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from None
    answers: list[bool] = found.to_pylist()
    return answers


def wildcards(pattern: str, many: str, one: str | None = None) -> str:
    """A regular expression for a pattern in which `many` is any text and `one` any character.

    Each piece between two `many` is taken where it is found first and never sought again: that finds whatever there is.
    """
    pieces = ["".join("." if char == one else re.escape(char) for char in piece) for piece in pattern.split(many)]
    if len(pieces) == 1:
        return f"(?s:{pieces[0]})"
    first, *middle, last = pieces
    return f"(?s:{first}{''.join(f'(?>.*?{piece})' for piece in middle)}.*{last})"
