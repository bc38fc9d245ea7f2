"""From the path of a pipeline file to the pipeline in it, and its configuration."""

import importlib.util
import sys
import traceback
from pathlib import Path

from caudal.config import Config, load_config
from caudal.errors import CaudalError, UsageError
from caudal.pipeline import Pipeline
from caudal.urls import checked

DEFAULT = "pipeline.py"


def load_pipeline(path: Path, may_be_missing: bool = False) -> tuple[Pipeline, Config]:
    """Import the module at `path` and find its one Pipeline; the configuration lies beside it.

    With `may_be_missing`, a default file that is not there is an empty pipeline: AWS's APIs need none.

    Raises UsageError if there is no such file, it fails, or it has no pipeline or several; ContractError and ConfigError
    as the module and the configuration deserve.
    """
    if may_be_missing and path.name == DEFAULT and not path.exists():
        return Pipeline("caudal"), checked(load_config(path.resolve().parent))
    if not path.is_file():
        raise UsageError(f"{path}: no such pipeline file", hint="run `caudal init`, or name the file with --pipeline")
    found = [value for value in vars(_run(path)).values() if isinstance(value, Pipeline)]
    unique = list({id(pipeline): pipeline for pipeline in found}.values())
    if len(unique) != 1:
        raise UsageError(f"{path}: has {len(unique)} pipelines", hint="it needs one: shop = Pipeline('shop')")
    unique[0].file = path.resolve()
    return unique[0], checked(load_config(path.resolve().parent))


def _run(path: Path) -> object:
    name = f"caudal_pipeline_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python file", hint="name a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except CaudalError:
        raise
    except (Exception, SystemExit) as error:  # whatever the user's module raises
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
        line = f":{lines[-1]}" if lines else f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(f"{path}{line}: {type(error).__name__}: {error}", hint="mend the pipeline file") from error
    finally:
        sys.path.remove(folder)
    return module
