"""A back end that fails when it is told to: before a call takes effect, or after, when only the answer is lost."""

from collections.abc import Callable
from typing import Any, Literal

from caudal.errors import Unavailable

When = Literal["before", "after"]


class Faulty:
    """Stands before any back end and passes every call on, but for those that `on` was told about."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._planned: list[tuple[str, When, Callable[[], object]]] = []

    def on(self, call: str, when: When, act: Callable[[], object] | None = None) -> None:
        """At the next `call`, once: do `act`, or raise Unavailable."""
        self._planned.append((call, when, act or _fail))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)

        def passed_on(*args: Any, **kwargs: Any) -> Any:
            self._act(name, "before")
            answer = found(*args, **kwargs)
            self._act(name, "after")
            return answer

        return passed_on if callable(found) else found

    def _act(self, call: str, when: When) -> None:
        for planned in self._planned:
            if planned[:2] == (call, when):
                self._planned.remove(planned)
                planned[2]()
                return


def _fail() -> None:
    raise Unavailable("a fault on purpose", hint="try again")
