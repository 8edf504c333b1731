"""A hostile value, or a study file from a stranger: it is refused in one line, or is written as a literal."""

import contextlib
import io
import random
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from horticulture import cli
from horticulture.cli import commands
from horticulture.study import parameters, runner, study_files
from tests.fuzzed import damaged, within
from tests.test_cli import PARTS, REFUSED
from tests.test_literals import HOSTILE, STRANGER, written_as_literals

SECONDS = 300  # for one command, in which torch may be loaded; on a busy machine too


def trial(seed: int) -> str:
    """Any parameter with any value, which is often nearly one that it may have."""
    draw = random.Random(seed)
    declared = parameters.all_parameters()
    name = draw.choice(sorted(declared))
    other = draw.choice(sorted(declared))
    text = draw.choice(
        [
            draw.choice(HOSTILE),
            draw.choice(REFUSED)[0].partition("=")[2],
            repr(declared[other]["default"]),
            scrambled(repr(declared[name]["default"]), draw),
        ]
    )
    return answer("smoke", "-p", f"{name}={text}")


def file_trial(seed: int) -> str:
    """A study file of which some bytes were altered."""
    draw = random.Random(seed)
    texts = (PARTS, STRANGER, study_files.studies()["smoke"].read_text())
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "own.yaml"
        path.write_bytes(damaged(draw.choice(texts).encode(), draw))
        return answer(str(path))


def scrambled(text: str, draw: random.Random) -> str:
    """Some of its bytes altered: whatever a shell could pass on."""
    return damaged(text.encode() or b"0", draw).decode(errors="surrogateescape")


def answer(*arguments: str) -> str:
    """What the command answers that would run this study; no notebook is executed."""
    written: list[dict[str, Any]] = []
    said, heard = io.StringIO(), io.StringIO()
    with (
        tempfile.TemporaryDirectory() as place,
        within(SECONDS),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(heard),
        mock.patch.object(runner, "run", lambda part, settled, *_: written.append(settled)),
        mock.patch.object(commands, "print_tables"),
    ):
        outputs = Path(place) / "outputs"
        code = cli.main(["run", *arguments, "--name", "hostile", "--outputs", str(outputs)])
        if code == 2:
            assert len(said.getvalue().splitlines()) == 1, said.getvalue()
            assert not outputs.exists(), "written before it was refused"
            return "refused"
    assert (code, said.getvalue()) == (0, ""), (code, said.getvalue())
    for settled in written:
        written_as_literals(settled)
    return "survived"
