"""`caudal promote`: choose the version that answers."""

from typing import Annotated

import typer

from caudal.cli.screen import say, show_json
from caudal.cli.session import Json, opened, recommender_named


def promote(
    context: typer.Context,
    recommender: Annotated[str, typer.Argument(help="The recommender.")],
    version: Annotated[int, typer.Argument(help="One of `caudal models`.", min=1)],
    json: Json = False,
) -> None:
    """Make a version of a model live.

    Its bytes are proven whole first. A running API follows within seconds.

    Example: caudal promote for_you 2
    """
    with opened(context) as stages:
        card = stages.models.promote(recommender_named(stages, recommender).name, version)
    if json:
        show_json({"recommender": card.recommender, "live": card.version})
    else:
        say(f"{card.label} is live")
