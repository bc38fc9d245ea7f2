"""Algorithms that rank items. One file each; `BACKENDS` is the table of their names."""

from difflib import get_close_matches
from importlib import import_module

from caudal.errors import ContractError
from caudal.learn.models import artifact
from caudal.learn.models.port import Model

__all__ = ["BACKENDS", "DEFAULT", "Model", "load_model", "open_model_class"]

BACKENDS = {
    "als": "caudal.learn.models.als:AlsModel",
    "ease": "caudal.learn.models.ease:EaseModel",
    "itemknn": "caudal.learn.models.itemknn:ItemKnnModel",
    "popular": "caudal.learn.models.popular:PopularModel",
}

DEFAULT = "ease"


def open_model_class(name: str) -> type[Model]:
    """The class of the algorithm of that name, imported only now. Raises ContractError for an unknown name."""
    if name not in BACKENDS:
        near = get_close_matches(name, BACKENDS, n=1, cutoff=0.0)
        raise ContractError(
            f"there is no model {name!r}", hint=f"did you mean {near[0]!r}? There are {', '.join(BACKENDS)}"
        )
    module, cls = BACKENDS[name].split(":")
    model: type[Model] = getattr(import_module(module), cls)
    return model


def load_model(data: bytes) -> Model:
    """The model that some `Model.save` wrote, of whatever kind. Raises DataError if the bytes are damaged."""
    return open_model_class(artifact.kind_of(data)).load(data)
