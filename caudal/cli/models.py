"""`caudal models`: every version, and which is live."""

from typing import Annotated

import typer

from caudal.cli.screen import say, show_json, show_table
from caudal.cli.session import Json, opened, recommender_named
from caudal.cli.status import moment


def models(
    context: typer.Context,
    recommender: Annotated[str | None, typer.Argument(help="The recommender; all if left out.")] = None,
    json: Json = False,
) -> None:
    """List the versions of models, and which is live.

    Example: caudal models for_you
    """
    with opened(context) as stages:
        names = [recommender_named(stages, recommender).name] if recommender is not None else list(stages.pipeline.recommenders)
        found = [version for name in names for version in stages.models.versions(name)]
    if json:
        show_json(found)
        return
    if not found:
        say("no models yet: caudal train")
        return
    show_table(("model", "", "algorithm", "ndcg@10", "popularity", "trained", "from"), [
        (v.card.label, "live" if v.live else "", v.card.model, _figure(v.card.metrics),
         _figure(v.card.evaluation.get("popularity", {})), moment(v.card.created),
         ", ".join(f"{table} v{version}" for table, version in v.card.snapshot.items()))
        for v in found
    ], right=(3, 4))
    for version in found:
        if version.note:
            say(f"{version.card.label} did not go live by itself: {version.note}")


def _figure(metrics: dict[str, float]) -> str:
    return f"{metrics['ndcg@10']:.4f}" if "ndcg@10" in metrics else ""
