"""`caudal train`: a new version of a model."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.screen import say, show_json, show_table, steps
from caudal.cli.session import Json, opened, recommender_named

if TYPE_CHECKING:
    from caudal.learn.recommender import Recommender
    from caudal.learn.registry import Version
    from caudal.pipeline import Stages


def train(
    context: typer.Context,
    recommender: Annotated[str | None, typer.Argument(help="The recommender; all if left out.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Instead of trainer.seed.")] = None,
    json: Json = False,
) -> None:
    """Train a new version of a recommender's model.

    It is judged beside plain popularity, on a last part of the time that it was not trained on, and goes live
    unless it is clearly worse than the version that is.

    Example: caudal train for_you
    """
    with opened(context) as stages:
        wanted = [recommender_named(stages, recommender)]
        if recommender is None:
            wanted = list(stages.pipeline.recommenders.values())
        trained = [_train(stages, one, stages.config.trainer.seed if seed is None else seed) for one in wanted]
    if json:
        show_json(trained)
        return
    for version in trained:
        _show(version)


def _train(stages: "Stages", recommender: "Recommender", seed: int) -> "Version":
    from caudal.supervisor import write_error

    with steps(f"training {recommender.name}") as tell:
        card = stages.trainer.train(recommender, seed=seed, progress=tell)
    write_error(stages.config, f"trainer {recommender.name}", None)
    return next(found for found in stages.models.versions(recommender.name) if found.card.version == card.version)


def _show(version: "Version") -> None:
    card = version.card
    say(f"{card.label}: {card.model}, {card.interactions:,} interactions, {card.users:,} users, {card.items:,} items")
    if card.left_out:
        say(f"{card.left_out:,} rows say nothing and were left out: no user, item, time or finite weight, or in the future")
    show_metrics(card.evaluation)
    say(f"{card.label} is live" if version.live else f"{card.label} is not live: {version.note}")


def show_metrics(evaluation: dict[str, Any]) -> None:
    """Print metrics beside those of popularity."""
    mine, popular = evaluation.get("metrics", {}), evaluation.get("popularity", {})
    if not mine:
        say("not evaluated: too few shoppers came back in the last tenth of the time")
        return
    show_table(("metric", "model", "popularity"), [
        (name, f"{value:.4f}", f"{popular[name]:.4f}" if name in popular else "") for name, value in mine.items()
    ], right=(1, 2))
    for warning in evaluation.get("warnings", ()):
        say(f"warning: {warning}")
