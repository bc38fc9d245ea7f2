"""caudal's own trainer as a training job: `python -m caudal.gateway.sagemaker.own pipeline.py folder`.

Hyperparameters: `recommender`, by default the first; `seed`. The version also goes to the registry of models.
"""

import json
import sys
from pathlib import Path

from caudal.errors import CaudalError
from caudal.loader import load_pipeline


def main(pipeline_file: str, folder: str) -> None:
    """Train as the folder's hyperparameters say, and leave the model's card and bytes in its `model`."""
    root = Path(folder)
    given = json.loads((root / "input/config/hyperparameters.json").read_text())
    try:
        pipeline, config = load_pipeline(Path(pipeline_file))
        with pipeline.open(config) as stages:
            wanted = given.get("recommender") or next(iter(pipeline.recommenders), "")
            if wanted not in pipeline.recommenders:
                told = f"no recommender {wanted!r}: there is {', '.join(pipeline.recommenders) or 'none'}"
                raise SystemExit(_failed(root, told))
            seed = str(given.get("seed", config.trainer.seed))
            if not seed.isdecimal():
                raise SystemExit(_failed(root, f"the hyperparameter seed is {seed!r}: it is a whole number"))
            card = stages.trainer.train(pipeline.recommenders[wanted], seed=int(seed), progress=print)
            for name, data in zip(("card.json", "model.bin"), stages.models.export(wanted, card.version), strict=True):
                (root / "model" / name).write_bytes(data)
            for name, value in sorted(card.evaluation.get("metrics", {}).items()):
                print(f"{name}: {value}")
    except (CaudalError, ValueError) as error:
        raise SystemExit(_failed(root, str(error))) from None


def _failed(root: Path, reason: str) -> int:
    (root / "output/failure").write_text(reason)
    return 1


if __name__ == "__main__":
    main(*sys.argv[1:])
