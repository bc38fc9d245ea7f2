"""What the three kinds of a user's function share: who is told of a call, and what is said of one that raised."""

from collections.abc import Callable

from caudal.contract import UserFunction
from caudal.ingest.transform.values import Misfit

Tell = Callable[[int, int], None]
"""Told before each call of the user's code which rows it is given: from which, and up to which."""


def raised(function: UserFunction, error: BaseException) -> Misfit:
    """Why a record failed of which the function raised: by its type and line, for its message may quote a person's data."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code is getattr(function.function, "__code__", None):
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" at line {line}" if line else ""
    reason = "transform_memory" if isinstance(error, MemoryError) else "transform_raised"
    return Misfit(reason, f"{function.name} raised {type(error).__name__}{where}")
