"""A notebook's access to its study: parameters and their origins, making runs, recording results.

A notebook declares only its own parameters. It inherits the others from what an earlier notebook
of the study used, else from the study file of that name, else from their declaration.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from horticulture import runs
from horticulture.errors import InputError, InterruptedRun, check_choice
from horticulture.execution import cluster, parallel, status
from horticulture.study import bounds, own_code, parameters as known_parameters, study_files
from horticulture.study.parameters import COMMON
from horticulture.system import progress

if TYPE_CHECKING:  # torch and pandas take seconds to load; worker processes start first
    import pandas as pd
    from matplotlib.figure import Figure

    from horticulture.runs import CurvePoint, Run
    from horticulture.study.config import StudyConfig

HERE, EARLIER, FILE, DEFAULT = "this notebook", "an earlier notebook", "the study file", "default"
INJECTED = "# Parameters"  # first line of the cell that papermill injects below the parameters cell


class Session:
    """`session = Session.open(globals())`, below the parameters cell of a notebook.

    parameters: the values of this notebook's and of earlier ones'. origins: where each comes from. outputs:
    the folder of all studies; folder: that of this study. notebook: its position, from 0.
    """

    def __init__(self, parameters: dict[str, Any], origins: dict[str, str], notebook: int) -> None:
        self.parameters, self.origins, self.notebook = parameters, origins, notebook
        self.study: str = parameters["study"]
        self.outputs: Path = runs.outputs_folder(parameters["outputs"])
        self.folder = self.outputs / self.study

    @classmethod
    def open(cls, namespace: MutableMapping[str, Any]) -> Session:
        """Open the session of a notebook from its kernel's variables.

        Only names assigned in the parameters cell, or in the one that papermill injects, count. Worker
        processes start loading. Raises InputError, before anything is written, for an invalid name or value,
        and for a base recipe that differs from the study's.
        """
        _show_interruptions_briefly()
        given, own = _set_in_cells(namespace)
        declared = known_parameters.all_parameters()
        for name in given:
            check_choice(name, declared, "parameter")
        given = {name: known_parameters.convert(name, value, declared[name]) for name, value in given.items()}
        given = known_parameters.with_absolute_folders(given)
        namespace.update(given)  # cells read the value, though papermill may have injected it as text
        notebook = max((declared[name]["notebook"] for name in own), default=0)
        study, outputs = (given.get(name, declared[name]["default"]) for name in ("study", "outputs"))
        study_files.check_name(study)
        folder = runs.outputs_folder(outputs) / study
        study_files.check_own_folders(folder)
        recorded = study_files.read_study_json(folder)
        values, origins = _inherit(given, notebook, study, recorded)
        _load_code(values, origins, recorded)
        bounds.check(values)
        if not bounds.made_here(values):
            namespace["device"] = "auto"  # of what cells compute themselves; workers may have another
        values["cluster"] = cluster.resolve(values["cluster"])
        parallel.start(values["workers"], values["device"], values["cluster"])
        session = cls(values, origins, notebook)
        try:
            session._fix()
        except OSError as error:  # such as a folder without write permission
            raise InputError(f"outputs {session.outputs}: {error}") from error
        status.begin(session.folder, known_parameters.notebooks()[notebook].stem)
        return session

    def _fix(self) -> None:
        """Check the base recipe against the study's, and record the parameters for later notebooks."""
        from horticulture.study import base_recipe, validation

        validation.count_rounds(self.parameters)
        validation.check(self.parameters)
        self.config: StudyConfig = base_recipe.fix(self.parameters, first=self.notebook == 0)
        self.parameters["precision"] = self.config.precision
        used = {name: value for name, value in self.parameters.items() if name not in COMMON}
        declared = known_parameters.all_parameters()
        changed = {
            name: value
            for name, value in used.items()
            if self.origins[name] == HERE or declared[name]["notebook"] == self.notebook
        }
        own = own_code.record(self.parameters, known_parameters.notebooks()[self.notebook].stem)
        with study_files.editing(self.folder) as content:
            content["study"] = self.study
            # What other notebooks declare may have been changed by them meanwhile.
            content["parameters"] = {**used, **content.get("parameters", {}), **changed}
            if own:
                content["own"] = {**content.get("own", {}), **own}

    def execute(
        self, wanted: Iterable[Run], what: str, then: Callable[[Run], Iterable[Run]] = lambda run: ()
    ) -> list[dict]:
        """Make the runs that are not finished yet, and return all results in order. what: a progress label.

        then: further runs to execute once one of them is finished; on a cluster only.

        When interrupted, finished work is kept and running the cell again resumes. An empty list is reported
        as skipped.
        """
        wanted = list(wanted)
        if not wanted:
            print(f"{what}: skipped, this study asks for none")
            return []
        try:
            self._warn(wanted)
            workers, device, address = (self.parameters[n] for n in ("workers", "device", "cluster"))
            return parallel.execute_all(
                wanted,
                self.outputs,
                workers=workers,
                device=device,
                address=address,
                then=then,
                what=what,
                study=self.folder,
            )
        except KeyboardInterrupt as stop:
            kept = str(stop) or f"{what}: stopped, work so far is kept"
            raise InterruptedRun(f"{kept}; run the cell again to resume") from None

    def _warn(self, wanted: list[Run]) -> None:
        """Print a line if these runs will take long on this machine."""
        from horticulture.study import forecast

        try:
            missing = [run for run in wanted if runs.result(run, self.outputs) is None]
        except InputError:  # a damaged run, which will be made again
            return
        if missing and not self.parameters["cluster"]:
            where = self.parameters["device"], self.parameters["workers"]
            pending = forecast.PendingRuns.of(self.config, {"": missing}, *where)
            if line := forecast.warn_about_pending([pending]):
                print(line)

    def record(self, points: Iterable[CurvePoint]) -> None:
        """Record finished runs as results of the study."""
        for remark in runs.record_curves(self.folder, list(points)):
            progress.remark(remark)

    def catch_up(self, *, pruning: bool = True, retraining: bool = False) -> None:
        """Make missing runs of earlier notebooks: whole networks and, if `pruning`, pruning runs.

        On a cluster each network is pruned as soon as it is trained, and retrained as soon as it is pruned if
        `retraining`, while other runs go on.
        """
        from horticulture.study.budgets import budget_points

        config = self.config
        jobs = [*config.pruning_jobs, *config.moving_jobs]

        def then(run: Run) -> list[Run]:
            after = [job.run for job in jobs if job.base == run]
            for job in jobs if retraining else []:
                if job.run == run:
                    pruned = config.networks_of(job, self.outputs)
                    points = budget_points(config, pruned, remark=lambda line: None)
                    after += [point.run for point in points]
            return after

        more = " and what follows" if self.parameters["cluster"] else ""
        self.execute([point.run for point in config.whole_points], f"the whole network{more}", then)
        self.record(config.whole_points)
        if pruning:
            self.execute([job.run for job in (*jobs, *config.guide_jobs)], "pruning", then)
            self.record(config.pruning_points)

    def results(self) -> pd.DataFrame:
        """A row per evaluated network of the study, with curves in the order of the legend."""
        from horticulture.analysis import tables

        return tables.sort_by_criterion(runs.collect(self.folder), self.config.criteria)

    def remove_figures(self) -> None:
        """Remove the figures of an earlier run: the results may no longer give all of them."""
        from horticulture.analysis import figures

        figures.remove(self.folder)

    def save(self, figure: Figure, name: str) -> None:
        """Save a figure in the study's folder, as PNG and SVG."""
        from horticulture.analysis import figures

        figures.save(figure, self.folder / "figures", name)

    def __repr__(self) -> str:
        inherited = [
            f"from {origin}: {', '.join(f'{name}={value!r}' for name, value in values.items())}"
            for origin, values in self._inherited().items()
        ]
        return "\n".join([f"study {self.study} in {self.folder}", *inherited])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{name}</td><td><code>{html.escape(repr(value))}</code></td><td>{origin}</td></tr>"
            for origin, values in self._inherited().items()
            for name, value in values.items()
        )
        inherited = sum(origin != HERE for origin in self.origins.values())
        return (
            f"<details><summary>Study <b>{html.escape(self.study)}</b>: {len(self.parameters) - inherited} "
            f"parameters from this notebook, {inherited} inherited</summary><table><tr><th>parameter</th>"
            f"<th>value</th><th>from</th></tr>{rows}</table></details>"
        )

    def _inherited(self) -> dict[str, dict[str, Any]]:
        """The parameters that this notebook does not set itself, by origin."""
        by_origin: dict[str, dict[str, Any]] = {origin: {} for origin in (EARLIER, FILE, DEFAULT)}
        for name, value in self.parameters.items():
            if name not in COMMON and self.origins[name] != HERE:
                by_origin[self.origins[name]][name] = value
        return {origin: values for origin, values in by_origin.items() if values}


def _show_interruptions_briefly() -> None:
    """Make IPython show an interrupted cell as one line; a traceback would not help."""
    if shell := progress.shell():
        shell.set_custom_exc((KeyboardInterrupt,), _one_line)


def _one_line(shell: Any, kind: type, error: BaseException, trace: Any, tb_offset: int | None = None) -> None:
    shell._showtraceback(kind, error, [f"{kind.__name__}: {str(error) or 'stopped; run the cell again'}"])


def _set_in_cells(namespace: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The parameters that a notebook sets, and those of them that its own cell declares.

    Outside a notebook, where no cells are recorded, every variable named like a parameter.
    """
    if "In" not in namespace:
        set_here = {name: namespace[name] for name in known_parameters.all_parameters() if name in namespace}
        return set_here, list(set_here)
    cells = [known_parameters.assigned_names(code) for code in namespace["In"]]
    # A person may have left out the annotation of `study`, but hardly of every parameter.
    declaring = [n for n, names in enumerate(cells) if "study" in names and any(names.values())]
    last = declaring[-1] if declaring else None
    if last is None:
        raise InputError("run the parameters cell first: it is the second one")
    injected = [n for n, code in enumerate(namespace["In"]) if n > last and code.startswith(INJECTED)]
    names = cells[last] | (cells[injected[-1]] if injected else {})
    return {name: namespace[name] for name in names}, [name for name, typed in cells[last].items() if typed]


def _inherit(
    given: dict[str, Any], notebook: int, study: str, recorded: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of a notebook's and of earlier ones' parameters, and where each comes from.

    given: what the notebook sets. recorded: the study's `study.json`.
    """
    declared = known_parameters.all_parameters()
    values = {name: known["default"] for name, known in declared.items() if known["notebook"] <= notebook}
    origins = dict.fromkeys(values, DEFAULT)
    used = {**recorded.get("parameters", {}), **recorded.get("base", {})}
    used = {name: value for name, value in used.items() if name not in COMMON}
    by_origin = {
        FILE: _of_file(study),
        EARLIER: used if notebook else {},  # the first notebook inherits nothing
        HERE: given,
    }
    for origin, inherited in by_origin.items():
        for name, value in inherited.items():
            if name in values or origin == HERE:
                values[name] = known_parameters.convert(name, value, declared[name])
                origins[name] = origin
    return values, origins


def _load_code(values: Mapping[str, Any], origins: Mapping[str, str], recorded: Mapping[str, Any]) -> None:
    """Load users' own code that the parameters name. Raises InputError for code that nobody allowed."""
    set_here = [name for name, origin in origins.items() if origin == HERE]
    own = recorded.get("own", {})
    own_code.check_allowed(values, set_here, "allow_code = True in the parameters cell", own)
    own_code.load(values, set_here, own)


def _of_file(study: str) -> dict[str, Any]:
    """The parameters in the study file of that name, or of the part of a study with that name."""
    parts = (part for name in study_files.studies() for part in study_files.read(name).expand_parts())
    from_file: dict[str, Any] = next((part.parameters for part in parts if part.name == study), {})
    return {name: value for name, value in from_file.items() if name not in known_parameters.OPTIONS}
