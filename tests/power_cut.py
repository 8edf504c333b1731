"""Cut the power at a moment of a training and a pruning run, go on from what the disk had, and compare.

The same with one bit of what the disk had altered, and with a disk that is full.

What is certain to last is simulated: of a file what it held when it was last forced to the disk (fsync), a
name once its folder was. Of whatever else happened a disk may have all, nothing, or some: each is tried.
Checkpoints are written at every step here, so that one step may be lost.
"""

import os
import random
import resource
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from horticulture import architecture, execution
from horticulture.execution import checkpoints, tasks
from horticulture.pruning import PruningRecipe
from horticulture.runs import Run
from horticulture.training import TrainingRecipe
from tests import killed

Tree = dict[str, bytes]  # what is there: content by path
CHANGES = ("fsync", "replace", "rename", "unlink", "mkdir")  # of `os`: what lasts is another afterwards


class Moment(NamedTuple):
    """How much work was done, what was certain to be on the disk then, and what may have been there.

    under_way: of files that were not forced to it since they were written to, what they held.
    """

    done: int
    certain: Tree
    possible: Tree
    under_way: Tree

    def survivors(self, draw: random.Random) -> Tree:
        """What a disk may have after a power cut: all that happened, only what is certain, or some.

        Of what was under way it may have nothing, or the beginning.
        """
        share = draw.choice((0.0, 0.5, 1.0))
        paths = sorted({*self.certain, *self.possible})
        trees = {path: self.possible if draw.random() < share else self.certain for path in paths}
        actual = {path: tree[path] for path, tree in trees.items() if path in tree}
        for path in sorted(self.under_way.keys() & actual.keys()):
            if trees[path] is self.possible and draw.random() < 0.7:
                length = draw.randint(len(actual[path]), len(self.under_way[path]))
                actual[path] = self.under_way[path][:length]
        return actual


class Disk:
    """Follows what happens under a folder, and keeps what a power cut would leave before every change."""

    def __init__(self, root: Path) -> None:
        self.root, self.done, self.moments = root, 0, list[Moment]()
        self._content: dict[int, bytes] = {}  # of a file, by its number, when it was forced to the disk
        self._names: dict[int, dict[str, int]] = {}  # in a folder, likewise
        self._held: list[int] = []  # open, so that no number comes twice

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow whatever this process does in here."""
        with mock.patch.multiple(os, **{name: self._before(getattr(os, name)) for name in CHANGES}):
            yield
        self._keep()
        for held in self._held:
            os.close(held)

    def _before(self, change: Callable) -> Callable:
        def changing(*arguments, **more):
            self._keep()
            done = change(*arguments, **more)
            if change.__name__ == "fsync":
                self._forced(*arguments)
            return done

        return changing

    def _forced(self, opened: int) -> None:
        path, number = Path(os.readlink(f"/proc/self/fd/{opened}")), os.fstat(opened).st_ino
        self._held.append(os.dup(opened))
        if path.is_dir():
            self._names[number] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self._content[number] = path.read_bytes()

    def _keep(self) -> None:
        possible, under_way = Tree(), Tree()
        for path in filter(Path.is_file, self.root.rglob("*")):
            name, now = str(path.relative_to(self.root)), path.read_bytes()
            possible[name] = self._content.get(path.stat().st_ino, b"")
            if now.startswith(possible[name]) and now != possible[name]:
                under_way[name] = now
        certain = dict(self._lasting(self.root.stat().st_ino))
        self.moments.append(Moment(self.done, certain, possible, under_way))

    def _lasting(self, folder: int, inside: str = "") -> Iterator[tuple[str, bytes]]:
        for name, number in self._names.get(folder, {}).items():
            if number in self._names:
                yield from self._lasting(number, f"{inside}{name}/")
            elif number in self._content:
                yield f"{inside}{name}", self._content[number]


def wanted() -> list[Run]:
    """A training run and a pruning run, whose later rounds remove several channels each."""
    shape = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
    recipe = TrainingRecipe(epochs=2, batch_size=32)
    base = execution.training_run(shape, recipe, execution.describe_data("clutter", 128), 0)
    plan = PruningRecipe(rounds=3, steps=3, batch_size=32, lr=0.01, criterion="taylor", ratio=0.3)
    return [base, execution.pruning_run(base, plan)]


STEPS = (8, 12)  # of each


def make(outputs: Path, listen: Callable[[int], None]) -> None:
    """Make both; `listen` hears how many steps are done, those of earlier processes included."""
    for number, run in enumerate(wanted()):
        before, steps = sum(STEPS[:number]), STEPS[number]

        def report(share: float, *_: object, before: int = before, steps: int = steps) -> None:
            listen(before + round(share * steps))

        execution.execute(run, outputs, "cpu", report)


@cache
def undisturbed() -> tuple[list[Moment], dict[str, object]]:
    """The moments of both runs, left alone, and their results."""
    with tempfile.TemporaryDirectory() as place, often_written():
        disk = Disk(Path(place))
        with disk.following():
            make(disk.root, lambda done: setattr(disk, "done", done))
        actual = killed.results(disk.root)
    assert len(actual) == 6  # weights, a table and a result of each
    return disk.moments, actual


@contextmanager
def often_written() -> Iterator[None]:
    """Checkpoints are written at every step; what is damaged is named, set aside and made again."""
    with (
        mock.patch.object(checkpoints, "CHECKPOINT_SECONDS", 0.0),
        mock.patch.object(tasks, "ROUND_CHECKPOINTS", 2),
        warnings.catch_warnings(record=True),
    ):
        warnings.simplefilter("always")
        yield


def go_on(files: Tree) -> int:
    """Go on from what a disk has; the results must be the same. Returns how many steps were done there."""
    _, expected = undisturbed()
    heard = [sum(STEPS)]
    with tempfile.TemporaryDirectory() as place, often_written():
        plant(files, Path(place))
        make(Path(place), heard.append)
        actual = killed.results(Path(place))
        assert {name: one for name, one in actual.items() if ".damaged-" not in name} == expected
    return min(heard)  # where the first report stood, for it only grows from there


def tree(root: Path) -> Tree:
    """What is in the files of a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def plant(files: Tree, root: Path) -> None:
    """Write these files."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def flip(files: Tree, draw: random.Random) -> str:
    """Alter one bit of one of these files; returns which."""
    path = draw.choice(sorted(path for path, content in files.items() if content))
    content, at = bytearray(files[path]), draw.randrange(len(files[path]))
    content[at] ^= 1 << draw.randrange(8)
    files[path] = bytes(content)
    return path


def trial(seed: int) -> str:
    """Cut the power once: no more than a step may be lost."""
    draw = random.Random(seed)
    moment = draw.choice(undisturbed()[0])
    return "survived" if moment.done - go_on(moment.survivors(draw)) <= 1 else "lost"


def bit_trial(seed: int) -> str:
    """Alter one bit of what was on the disk at a moment: it must not change the results."""
    draw = random.Random(seed)
    moment = draw.choice([moment for moment in undisturbed()[0] if any(moment.certain.values())])
    flip(files := dict(moment.certain), draw)
    go_on(files)
    return "survived"


def full_trial(seed: int) -> str:
    """The disk is full somewhere."""
    fill(random.Random(seed).randrange(500_000))
    return "survived"


def fill(size: int) -> bool:
    """Make both where no file can grow beyond so many bytes, as on a full disk, then go on with more room.

    Returns whether the disk was full.
    """
    before, problem = resource.getrlimit(resource.RLIMIT_FSIZE), ""
    with tempfile.TemporaryDirectory() as place, often_written():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            make(Path(place), lambda _: None)
        except Exception as error:
            problem = str(error)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        remaining = tree(Path(place))
    assert "too large" in problem or not problem
    assert not [path for path in remaining if path.endswith(".tmp")]  # it would be in the way
    go_on(remaining)
    return bool(problem)
