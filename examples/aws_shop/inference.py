"""The inference script: products for a household that it has not bought, the likeliest first."""

import json
from pathlib import Path

import numpy as np


def model_fn(folder):
    """The model that train.py left."""
    arrays = np.load(Path(folder) / "model.npz")
    names = json.loads((Path(folder) / "names.json").read_text())
    return {"bought": arrays["bought"], "alike": arrays["alike"], **names}


def input_fn(body, content_type):
    """`{"household": "…", "n": 5}`."""
    return json.loads(body)


def predict_fn(asked, model):
    """The n best; for a household that nobody knows, what most buy."""
    bought = model["bought"]
    if asked["household"] in model["households"]:
        own = bought[model["households"].index(asked["household"])]
        scores = np.where(own > 0, -np.inf, own @ model["alike"])
    else:
        scores = bought.mean(axis=0)
    best = np.argsort(-scores, kind="stable")[: asked.get("n", 5)]
    products = [model["products"][n] for n in best if np.isfinite(scores[n])]
    return [{"product_id": id, "title": model["titles"][id], "score": round(float(scores[model["products"].index(id)]), 4)}
            for id in products]


def output_fn(made, accept):
    """JSON."""
    return json.dumps(made), "application/json"
