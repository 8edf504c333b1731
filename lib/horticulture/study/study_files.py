"""Study files: which there are, what they say, and under which name their results go.

Neither papermill nor torch is loaded here: the command answers at once.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from horticulture.errors import InputError, check_choice
from horticulture.files import CorruptFileError, read_json
from horticulture.study import literals

ENTRIES = ("about", "seconds", "parameters", "parts")
RESERVED = ("runs", "reference")  # folders under outputs that are no studies
LONGEST = 200  # bytes of a study's name
PARTS = 50  # of a study
RENAMED = {  # parameters, as the folders of earlier versions call them
    "tune_lr": "finetune_lr",
    "tune_epochs": "finetune_epochs",
    "longer": "base_epoch_factors",
    "longer_sizes": "factor_sizes",
    "judged": "oracle_criteria",
    "judged_channels": "oracle_channels",
    "judged_images": "oracle_images",
    "timed": "latency_batch_sizes",
    "timed_seconds": "latency_seconds",
    "copied": "copycat_size",
}


@dataclass(frozen=True)
class Study:
    """What a study file says. seconds: what each notebook took on two cores, to estimate the time left.

    A study in parts goes through the notebooks once for each: `parts` has what is different in it.
    """

    name: str
    about: str
    parameters: dict[str, Any]
    seconds: dict[str, float]
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def expand_parts(self) -> list["Study"]:
        """The study itself, or one for each of its parts, called `STUDY-PART`."""
        if not self.parts:
            return [self]
        return [
            replace(self, name=f"{self.name}-{part}", parameters=self.parameters | different, parts={})
            for part, different in self.parts.items()
        ]


def studies() -> dict[str, Path]:
    """The study files of the checkout, by name."""
    folder = Path(__file__).parents[3] / "notebooks" / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def is_file(name: str) -> bool:
    """Whether a study is named by the path of its file."""
    return name.endswith((".yaml", ".yml"))


def read(name: str) -> Study:
    """A study by its name or the path of its file. Raises InputError if there is none or it is malformed."""
    path = Path(name) if is_file(name) else studies()[check_choice(name, studies(), "study")]
    content = literals.read_file(path)
    if not isinstance(content, dict) or not isinstance(content.get("parameters"), dict):
        raise InputError(f"study file {path} must hold `about`, `seconds` and `parameters`")
    for entry in content:
        check_choice(entry, ENTRIES, f"entry of study file {path}")
    about, seconds, parts = (
        content.get("about") or "",
        content.get("seconds") or {},
        content.get("parts") or {},
    )
    if not isinstance(about, str):
        raise InputError(f"study file {path}: about must be a text, not {about!r}")
    if not isinstance(seconds, dict) or not all(literals.is_number(n) and n > 0 for n in seconds.values()):
        raise InputError(f"study file {path}: seconds must hold a number above 0 for each notebook")
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise InputError(f"study file {path}: parts must hold parameters by the name of the part")
    if len(parts) > PARTS:
        raise InputError(f"study file {path} has {len(parts):,} parts, and {PARTS} are the most")
    study = Study(path.stem, about, content["parameters"], seconds, parts)
    for part in study.expand_parts():
        check_name(part.name, f"study file {path}: name")
    return study


def check_name(name: str, what: str = "study") -> None:
    """Raise InputError for a name that cannot be the folder of a study."""
    if not re.fullmatch(r"\w[\w.=+-]*", name) or name in RESERVED or len(name.encode()) > LONGEST:
        raise InputError(f"{what} {name!r}: a study needs the name of a folder, of letters and digits")


def read_study_json(folder: Path) -> dict[str, Any]:
    """What `study.json` in a study's folder says, {} if there is none: `study`, `parameters`, `base`,
    and `own`, the criteria and data sets of somebody's own by name.

    Parameters of earlier versions come by the names of today. Raises CorruptFileError if it cannot be read.
    """
    path = folder / "study.json"
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict) or not isinstance(content.get("parameters", {}), dict):
        raise CorruptFileError(path)
    own = content.get("own", {})
    if not isinstance(own, dict) or not all(isinstance(about, dict) for about in own.values()):
        raise CorruptFileError(path)
    if "parameters" in content:
        old = content["parameters"].items()
        content["parameters"] = {RENAMED.get(name, name): value for name, value in old}
    return content
