"""`caudal recommend`: an answer without a server."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from caudal.cli.screen import say, show_json, show_table
from caudal.cli.session import Json, opened, recommender_named
from caudal.errors import Unavailable

if TYPE_CHECKING:
    from caudal.ingest.stream import Stream
    from caudal.learn.recommender import Recommender
    from caudal.pipeline import Stages
    from caudal.serve import Recommendation
    from caudal.serve.state import LiveState

CATCH_UP_SECONDS = 30.0


def recommend(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="The shopper; may be unknown.")],
    n: Annotated[int, typer.Option("-n", help="Items wanted.", min=1, max=1000)] = 10,
    slot: Annotated[str, typer.Option(help="new (never bought), again (bought before) or similar (to --item).")] = "new",
    item: Annotated[str | None, typer.Option(help="For the slot similar; by default what was bought last.")] = None,
    recommender: Annotated[str | None, typer.Option(help="By default the one declared first.")] = None,
    json: Json = False,
) -> None:
    """Recommend items to a shopper, each with its reason.

    Computed here, without a server, from the live model and all that was written until now.

    Example: caudal recommend ann -n 5
    """
    with opened(context) as stages:
        answer = _ask(stages, recommender_named(stages, recommender), user, n, slot, item)
    if json:
        show_json(answer)
        return
    if answer.model is None:
        say(f"recommender {answer.recommender} has no model yet (caudal train): these are popular")
    show_table(("item", "title", "score", "reason"), [
        (found.item, found.title or "", f"{found.score:.4f}", found.reason.text) for found in answer.items
    ], right=(2,))


def _ask(stages: "Stages", declared: "Recommender", user: str, n: int, slot: str, item: str | None) -> "Recommendation":
    from caudal.serve.recommender import LiveRecommender
    from caudal.serve.state import LiveState
    from caudal.tables import open_transforms

    transforms = open_transforms(stages.pipeline.tables, stages.config.url("transform"), stages.config)
    state = LiveState(declared, transforms, stages.query, stages.catalog, stages.stream)
    state.start()
    try:
        _catch_up(state, stages.stream)
        live = LiveRecommender(declared, state, stages.models)
        live.refresh()
        if live.problem:
            raise Unavailable(live.problem, hint=f"look at `caudal models {declared.name}`")
        return live.recommend(user, n, slot, item)
    finally:
        state.close()


def _catch_up(state: "LiveState", stream: "Stream") -> None:
    """Wait until the state has all that the stream holds now."""
    until = time.monotonic() + CATCH_UP_SECONDS
    for follower in state.followers:
        goal = stream.now(follower.name)
        while any(follower.positions.get(shard, 0) < offset for shard, offset in goal.items()):
            if not follower.live or time.monotonic() > until:
                raise Unavailable(f"the state of {follower.name} does not catch up: {follower.health().problem or 'too slow'}",
                                  hint="run `caudal flush`, then try again")
            time.sleep(0.002)
