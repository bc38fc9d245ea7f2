"""What a benchmark measured: a table on the screen, and the same rows as JSON in benchmarks/results."""

import json
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


class Report:
    """Collects rows; on leaving the `with` block without an error it prints them and writes results/NAME.json.

    A row is {"measure": what was measured, "subject": of whom, "value": number, "unit": its unit, or ""}.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[dict[str, str | float]] = []

    def add(self, measure: str, subject: str, value: float, unit: str = "") -> None:
        """One figure."""
        self.rows.append({"measure": measure, "subject": subject, "value": float(value), "unit": unit})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.show()
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{self.name}.json").write_text(json.dumps(self.rows, indent=1) + "\n")

    def show(self) -> None:
        """Print the table."""
        table = Table("measure", "subject", "value", "unit", title=self.name)
        table.columns[2].justify = "right"
        for row in self.rows:
            table.add_row(str(row["measure"]), str(row["subject"]), f"{row['value']:,.4g}", str(row["unit"]))
        Console().print(table)
