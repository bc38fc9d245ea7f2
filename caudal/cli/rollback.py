"""`caudal rollback`: back to the version that answered before."""

from typing import Annotated

import typer

from caudal.cli.screen import say, show_json
from caudal.cli.session import Json, opened, recommender_named


def rollback(
    context: typer.Context,
    recommender: Annotated[str, typer.Argument(help="The recommender.")],
    json: Json = False,
) -> None:
    """Make the version live that was so before.

    Its bytes are proven whole first. Nothing is trained.

    Example: caudal rollback for_you
    """
    with opened(context) as stages:
        card = stages.models.rollback(recommender_named(stages, recommender).name)
    if json:
        show_json({"recommender": card.recommender, "live": card.version})
    else:
        say(f"{card.label} is live again")
