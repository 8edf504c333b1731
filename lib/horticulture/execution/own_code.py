"""Users' own code: which runs need it, and how it reaches the process that makes them."""

import pickle
from collections.abc import Iterable

import cloudpickle

from horticulture import user_code
from horticulture.errors import InputError
from horticulture.pruning import criteria
from horticulture.runs import Run


def stays(run: Run) -> bool:
    """Whether a run, or one before it, needs a schedule or penalty that only this process has.

    Users' own criteria are sent to the workers.
    """
    return any("code" in one.recipe and one.kind != "prune" for one in run.chain)


def check(todo: Iterable[Run], *, cluster: bool) -> None:
    """Raise InputError for runs whose code is missing here or cannot be sent to the cluster."""
    for run in todo:
        for name in [run.recipe.get("criterion", ""), *run.recipe.get("criteria", [])]:
            absent = criteria.CRITERIA.get(name)
            if isinstance(absent, criteria.AbsentCriterion):
                raise InputError(absent.missing)
        if cluster and stays(run):
            raise InputError(f"{run} needs code that only this process has: leave the cluster empty")


def pack() -> bytes:
    """This process's code, for `unpack` in another: digests of files that may run, and criteria.

    Raises InputError for a criterion that cannot be pickled.
    """
    try:
        return cloudpickle.dumps((user_code.ALLOWED, criteria.own()))
    except Exception as error:  # users' functions may refer to anything
        mine = ", ".join(criteria.own())
        raise InputError(f"{mine} cannot be sent to worker processes, so set workers=1: {error}") from error


def unpack(packed: bytes) -> None:
    """Register the code in this process."""
    files, own = pickle.loads(packed)
    user_code.ALLOWED.update(files)
    criteria.CRITERIA.update(own)
