"""Code that is not the library's: which runs need it, and how it comes to the process that makes them."""

import pickle
from collections.abc import Iterable
from typing import NamedTuple

import cloudpickle

from horticulture import user_code
from horticulture.errors import InputError
from horticulture.pruning import criteria
from horticulture.runs import Run


def stays(run: Run) -> bool:
    """Whether a run, or one before it, needs a schedule or a penalty that only this process has.

    Criteria of one's own go along to the workers.
    """
    here = "code" in run.recipe and run.kind != "prune"
    return here or (run.start is not None and stays(run.start))


def check(todo: Iterable[Run], *, cluster: bool) -> None:
    """Raise InputError for runs whose code is not here, or that cannot go to the cluster."""
    for run in todo:
        for name in [run.recipe.get("criterion", ""), *run.recipe.get("criteria", [])]:
            absent = criteria.CRITERIA.get(name)
            if isinstance(absent, criteria.AbsentCriterion):
                raise InputError(absent.missing)
        if cluster and stays(run):
            raise InputError(
                f"{run} needs code of this process, which a cluster has not: leave the cluster empty"
            )


class Packed(NamedTuple):
    """What another process is given. files: digests of those that may run. criteria: pickled, by name."""

    files: set[str]
    criteria: bytes

    @staticmethod
    def here() -> "Packed":
        """That of this process. Raises InputError for a criterion that cannot be pickled."""
        try:
            return Packed(user_code.allowed(), cloudpickle.dumps(criteria.own()))
        except Exception as error:  # whatever somebody's function refers to
            mine = ", ".join(criteria.own())
            raise InputError(f"{mine} cannot go to worker processes, so say workers=1: {error}") from error

    def unpack(self) -> None:
        """Make it known here."""
        user_code.allow(self.files)
        criteria.CRITERIA.update(pickle.loads(self.criteria))
