"""An exported network is complete, its card is true, and it runs without the library."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import horticulture
from horticulture import architecture, cli, execution, networks, runs
from horticulture.errors import InputError
from horticulture.execution import exported, loading, parallel
from horticulture.networks import formats
from horticulture.pruning import PruningRecipe
from horticulture.runs import CurvePoint, lookup
from horticulture.system import code_files, files
from horticulture.training import TrainingRecipe

CLUTTER_IMAGES = (96, 64, 96)
pytestmark = pytest.mark.usefixtures("little_clutter")
WIDE = architecture.named("wrn-10-1", image=(1, 16, 16), classes=10)
RECIPE = TrainingRecipe(1, 0.05, batch_size=32)
PRUNING = PruningRecipe(4, "l1", steps=1, batch_size=32, evaluate_every=2)
MAKE = """
from torch import nn


def make(image, classes):
    return nn.Sequential(
        nn.Conv2d(image[0], 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Dropout(0.5), nn.Linear(24, classes),
    )
"""
LOOKS = """
from torch import nn


class Looks(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.a, self.b = nn.Conv2d(channels, 6, 3), nn.Conv2d(6, classes, 3)

    def forward(self, x):
        if x.mean() > 0:
            x = 2 * x
        return self.b(self.a(x).relu()).mean(dim=(2, 3))


def make(image, classes):
    return Looks(image[0], classes)
"""
needs_onnx = pytest.mark.skipif(not formats.has_onnx(), reason=formats.NO_ONNX)


@pytest.fixture(scope="module")
def outputs(little_clutter, tmp_path_factory) -> Path:
    """A study of a wide resnet; networks of torchvision and of a file, pruned, in one of their own."""
    outputs, source = tmp_path_factory.mktemp("outputs"), execution.describe_data("clutter", 96)
    wholes = [execution.training_run(WIDE, RECIPE, source, seed) for seed in (0, 1, 2)]
    narrow = execution.training_run(WIDE.with_widths((8, 8, 8)), RECIPE, source, 0)
    pruned = execution.pruning_run(wholes[0], PRUNING)
    sparse = execution.pruning_run(
        wholes[0], PruningRecipe(1, "magnitude", ratio=0.5, steps=1, batch_size=32)
    )
    tuned = execution.finetuning_run(sparse, 1, WIDE, RECIPE)
    points = [CurvePoint("whole", whole) for whole in wholes] + [CurvePoint("width", narrow)]
    points += [
        CurvePoint("pruned-tuned", pruned, "l1"),
        CurvePoint("sparse-fine-tuned", tuned, "magnitude", 1, ratio=0.5),
    ]
    (outputs / "models.py").write_text(MAKE)
    of_code = networks.named(str(outputs / "models.py:make"), image=WIDE.image, classes=10)
    coded = execution.training_run(of_code, RECIPE, source, 0)
    resnet = networks.named("torchvision:resnet18", image=WIDE.image, classes=10)
    save_file(
        networks.build(resnet, torch.Generator().manual_seed(1)).state_dict(), outputs / "given.safetensors"
    )
    given = execution.pretrained_run(resnet, str(outputs / "given.safetensors"), RECIPE, source, 0)
    cut = execution.pruning_run(given, replace(PRUNING, rounds=1, ratio=0.5))
    users = [CurvePoint("pruned-tuned", cut, "l1"), CurvePoint("whole", given), CurvePoint("coded", coded)]
    parallel.execute_all([tuned, *(point.run for point in points + users)], outputs, workers=1, device="cpu")
    runs.record_curves(outputs / "trial", points)
    runs.record_curves(outputs / "mine", users)
    for study in ("trial", "mine"):
        runs.write_tables(outputs / study, results=runs.collect(outputs / study))
    return outputs


def command(outputs: Path, *arguments: object) -> int:
    return cli.main(["export", *map(str, arguments), "--outputs", str(outputs)])


def refused(capsys, outputs: Path, *arguments: object) -> str:
    assert command(outputs, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def error_of(network: torch.nn.Module) -> float:
    """On the test images, in percent."""
    return loading.measure_error(network, execution.load_dataset("clutter", 96), "test")


def numbers(folder: Path) -> dict[str, str]:
    """The rows of the card's tables."""
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE))


def row_of(outputs: Path, study: str, folder: Path) -> pd.Series:
    """The row of `results.csv` that an export is of."""
    config = files.read_json(folder / "config.json")
    results = pd.read_csv(outputs / study / "results.csv", dtype={"run": str})
    actual = results[results["run"] == config["run"]]
    return (actual if config["round"] is None else actual[actual["round"] == config["round"]]).iloc[0]


NETWORKS = [
    ("trial", "whole", "--seed", 1),
    ("trial", "width"),
    ("trial", "pruned-tuned", "--round", 4),
    ("trial", "pruned-tuned", "--round", 2),
    ("trial", "sparse-fine-tuned"),
    ("mine", "pruned-tuned", "--round", 1),
    ("mine", "coded", "--allow-code"),
]


@needs_onnx
@pytest.mark.parametrize("asked", NETWORKS, ids=lambda asked: "-".join(map(str, asked)))
def test_the_network_the_card_and_the_results_say_the_same(outputs, tmp_path, asked):
    study, *_ = asked
    assert command(outputs, *asked, "--to", tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("config.json", "README.md", "model.safetensors", "model.onnx", "model.pt2")
    }
    row = row_of(outputs, study, tmp_path / "out")
    code = {"code": outputs / "models.py"} if "coded" in asked else {}
    network = horticulture.load(tmp_path / "out", **code)
    assert not network.training
    assert error_of(network) == row["test_error"]
    shown = numbers(tmp_path / "out")
    assert shown["test error (%), in the study's results"] == f"{row['test_error']:.2f}"
    assert shown["test error (%), measured for this card"].startswith(f"{row['test_error']:.2f} ± ")
    assert shown["validation error (%), in the study's results"] == f"{row['val_error']:.2f}"
    assert shown["parameters"].startswith(f"{row['params']:,}")
    assert shown["multiply-accumulates per image"] == f"{row['macs']:,}"
    draw, x = torch.Generator().manual_seed(0), torch.empty(0)
    content = {name: (tmp_path / "out" / name).read_bytes() for name in ("model.pt2", "model.onnx")}
    for batch in (1, 3, 40):
        x = torch.randn(batch, *WIDE.image, generator=draw)
        with torch.inference_mode():
            torch.testing.assert_close(formats.from_pt2(content["model.pt2"])(x), network(x))
            torch.testing.assert_close(
                formats.from_onnx(content["model.onnx"])(x), network(x), rtol=1e-4, atol=1e-5
            )


ALONE = """
import sys
class Barrier:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "horticulture":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Barrier())
import json
import numpy as np
pixels = np.load(sys.argv[1])
if {torch}:
    import torch
    pixels = torch.from_numpy(pixels)
{code}
print(json.dumps(classes.tolist()))
"""


@needs_onnx
def test_the_lines_of_the_card_work_without_the_library_and_get_the_recorded_error(outputs, tmp_path):
    command(outputs, "trial", "pruned-tuned", "--round", 4, "--to", tmp_path / "out")
    test = execution.load_dataset("clutter", 96).test
    np.save(tmp_path / "pixels.npy", test.pixels.numpy())
    blocks = re.findall(r"```python\n(.+?)```", (tmp_path / "out/README.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks[:2]:
        assert len([line for line in block.splitlines() if line and not line.startswith("import")]) == 3
        code = ALONE.format(code=block, torch="torch." in block)
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "pixels.npy"],
            cwd=tmp_path / "out",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        wrong = np.array(json.loads(done.stdout)) != test.labels.numpy()
        assert 100 * wrong.mean() == row_of(outputs, "trial", tmp_path / "out")["test_error"]


def test_a_round_that_nobody_measured_is_measured_for_the_card(outputs, tmp_path):
    assert command(outputs, "trial", "pruned-tuned", "--round", 3, "--to", tmp_path / "out") == 0
    shown, error = numbers(tmp_path / "out"), error_of(horticulture.load(tmp_path / "out"))
    assert shown["test error (%), measured for this card"].startswith(f"{error:.2f} ± ")
    assert not [name for name in shown if "results" in name]


def test_a_round_that_a_run_of_its_own_measured_is_that_run(outputs, tmp_path):
    pruned = runs.find_network(outputs / "trial", "pruned-tuned", round=3).run
    shape = runs.architecture_at(pruned, runs.removals(pruned, outputs), 3)
    run = execution.finetuning_run(pruned, 3, shape, replace(RECIPE, epochs=0))
    execution.execute(run, outputs, "cpu")
    points = [CurvePoint("pruned-tuned", pruned, "l1"), CurvePoint("pruned-tuned", run, "l1", 3)]
    runs.record_curves(outputs / "measured", points)
    actual = runs.find_network(outputs / "measured", pruned.key, round=3)
    assert actual.run == run
    exported.export(actual, tmp_path / "out")
    metrics = runs.metrics(run, outputs)
    assert error_of(horticulture.load(tmp_path / "out")) == metrics["test_error"] == actual.row["test_error"]
    assert "\n- taken after round 3, with kept weights\n" in (tmp_path / "out/README.md").read_text()


def test_the_card_has_all_seeds_and_an_interval(outputs, tmp_path):
    command(outputs, "trial", "whole", "--seed", 1, "--to", tmp_path / "out")
    results = pd.read_csv(outputs / "trial/results.csv")
    errors = results.loc[results["curve"] == "whole", "test_error"]
    text = (tmp_path / "out/README.md").read_text()
    half = 4.302653 * errors.std() / 3**0.5  # Student's, two degrees of freedom
    assert ", ".join(f"{error:.2f} (seed {seed})" for seed, error in enumerate(errors)) in text
    assert f"interval {errors.mean() - half:.2f} to {errors.mean() + half:.2f}" in text


def test_single_weights_stay_zero_and_the_card_says_so(outputs, tmp_path):
    command(outputs, "trial", "sparse-fine-tuned", "--to", tmp_path / "out")
    network = horticulture.load(tmp_path / "out")
    zeros = sum(int((weight == 0).sum()) for weight in network.parameters() if weight.dim() > 1)
    assert (
        numbers(tmp_path / "out")["parameters"]
        == f"{WIDE.params - zeros:,} that are not zero, of {WIDE.params:,}"
    )
    assert "stored as zeros" in (tmp_path / "out/README.md").read_text()


def test_what_is_stored_is_narrow_and_names_no_folder_of_this_machine(outputs, tmp_path):
    command(outputs, "mine", "coded", "--allow-code", "--to", tmp_path / "out")
    home = [str(outputs), str(Path(horticulture.__file__).parent)]
    for path in (tmp_path / "out").iterdir():
        assert not [place for place in home if place.encode() in path.read_bytes()], path.name


# --- somebody's code -------------------------------------------------------------------------------------


def test_code_runs_only_where_somebody_said_so(outputs, tmp_path, capsys, monkeypatch):
    line = refused(capsys, outputs, "mine", "coded", "--to", tmp_path / "out")
    assert line.endswith("models.py:make is code, which runs only if you say so: --allow-code")
    command(outputs, "mine", "coded", "--allow-code", "--to", tmp_path / "out")
    assert 'horticulture.load(".", code="models.py")' in (tmp_path / "out/README.md").read_text()
    with pytest.raises(InputError, match=r"models.py:make defines this network: pass that file as code="):
        horticulture.load(tmp_path / "out")
    other = tmp_path / "models.py"
    other.write_text(MAKE + "\nraise SystemExit\n")
    monkeypatch.setattr(code_files, "ALLOWED", set())
    with pytest.raises(InputError, match=r"models.py is not the file that made this network: pass that one"):
        horticulture.load(tmp_path / "out", code=other)
    assert not code_files.ALLOWED


def test_a_network_that_no_program_can_follow_is_exported_as_weights(outputs, tmp_path, capsys):
    (outputs / "looks.py").write_text(LOOKS)
    shape = networks.named(str(outputs / "looks.py:make"), image=WIDE.image, classes=10)
    run = execution.training_run(shape, RECIPE, execution.describe_data("clutter", 96), 0)
    execution.execute(run, outputs, "cpu")
    runs.record_curves(outputs / "looks", [CurvePoint("whole", run)])
    capsys.readouterr()
    assert command(outputs, "looks", "whole", "--allow-code", "--to", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert re.search(r"^no model.pt2: torch.export cannot trace this network: ", said.out, re.MULTILINE)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "config.json",
        "README.md",
        "model.safetensors",
    }
    network = horticulture.load(tmp_path / "out", code=outputs / "looks.py")
    assert error_of(network) == runs.metrics(run, outputs)["test_error"]


# --- whole or not there ----------------------------------------------------------------------------------


KILLED = """
import os, signal, sys
from horticulture import cli
from horticulture.data import digits
from tests.conftest import clutter_parts
digits.CLUTTER_PARTS = clutter_parts(*{images})
os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.main(sys.argv[1:])
"""


def test_a_killed_export_leaves_nothing_and_the_next_one_tidies_up(outputs, tmp_path):
    asked = ["trial", "width", "--to", str(tmp_path / "all/out")]
    code = KILLED.format(images=CLUTTER_IMAGES)
    done = subprocess.run(
        [sys.executable, "-c", code, "export", *asked, "--outputs", outputs],
        check=False,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    assert not (tmp_path / "all/out").exists()
    assert len(list((tmp_path / "all").iterdir())) == 1
    assert command(outputs, *asked) == 0
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["out"]


def test_where_onnx_is_not_installed_one_line_says_so(outputs, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(formats, "has_onnx", lambda: False)
    assert command(outputs, "trial", "width", "--to", tmp_path / "out") == 0
    assert "no model.onnx: ONNX needs the extra onnx: pip install -e '.[onnx]'" in capsys.readouterr().out
    assert not (tmp_path / "out/model.onnx").exists()
    text = (tmp_path / "out/README.md").read_text()
    assert "There is no `model.onnx`: ONNX needs the extra" in text
    assert "onnxruntime" not in text


def test_too_long_a_path_is_cut_in_the_line_that_refuses_it(outputs, capsys):
    line = refused(capsys, outputs, "trial", "whole", "--seed", 0, "--to", "/" + 300 * "x")
    assert line == f"horticulture: /{59 * 'x'}...: File name too long"


def test_an_export_is_replaced_and_nothing_else_is(outputs, tmp_path, capsys):
    for name in ("whole", "width"):
        assert command(outputs, "trial", name, "--seed", 0, "--to", tmp_path / "out") == 0
    assert horticulture.load(tmp_path / "out").architecture.widths == (8, 8, 8)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    capsys.readouterr()
    for name in ("mine", "file"):
        line = refused(capsys, outputs, "trial", "width", "--to", tmp_path / name)
        assert f"{name} exists and is not an exported network: choose another folder" in line
    assert (tmp_path / "mine/thesis.tex").read_text() == "years of work"


def test_what_was_altered_is_not_loaded(outputs, tmp_path):
    command(outputs, "trial", "width", "--to", tmp_path / "out")
    config, weights = tmp_path / "out/config.json", tmp_path / "out/model.safetensors"
    before = config.read_text()
    config.write_text(before.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(InputError, match=r"config.json is altered: export it again"):
        horticulture.load(tmp_path / "out")
    config.write_text(before)
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match=r"model.safetensors is missing or altered"):
        horticulture.load(tmp_path / "out")
    with pytest.raises(InputError, match="is not an exported network"):
        horticulture.load(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"files": None},
        {"architecture": None},
        {"architecture": [1]},
        {"table": None},
        {"widths": "abc"},
        {"widths": [10**9] * 6},
        {"classes": 10**12},
        {"depth": [[]] * 3},
        {"image": "x"},
        {"classes": "x"},
        {"depth": 600_000_004},
        {"odd": 1},
    ],
    ids=str,
)
def test_what_a_stranger_describes_is_refused_before_it_takes_up_memory(tmp_path, wrong):
    network = networks.build(WIDE)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    digests = {"model.safetensors": files.file_digest(tmp_path / "model.safetensors")}
    config = {"format": exported.FORMAT, "architecture": WIDE.identity(), "files": digests}
    files.write_json(tmp_path / "config.json", config)
    assert horticulture.load(tmp_path).architecture == WIDE
    name, value = next(iter(wrong.items()))
    (config if name in config else config["architecture"])[name] = value
    files.write_json(tmp_path / "config.json", config)
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        horticulture.load(tmp_path)


def test_a_network_that_is_not_the_recorded_one_is_not_exported(outputs, tmp_path, monkeypatch):
    actual = runs.find_network(outputs / "trial", "width")
    other = actual._replace(row=actual.row.replace({actual.row["test_error"]: 1.0}))
    with pytest.raises(InputError, match=r"test error is .+ %, but 1.00 % was recorded"):
        exported.export(other, tmp_path / "out")
    wrong = lambda content: lambda x: torch.ones(len(x), 10)  # noqa: E731
    monkeypatch.setattr(formats, "from_pt2", wrong)
    with pytest.raises(InputError, match=r"outputs of model.pt2 differ from the network"):
        exported.export(actual, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- which network ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("nosuch", "whole"), "no study 'nosuch' in "),
        (
            ("trial", "widht"),
            "choose from pruned-tuned, sparse-fine-tuned, whole, width (did you mean 'width'?)",
        ),
        (("trial", "whole"), "whole matches 3 networks of trial: choose one by seed (0, 1, 2)"),
        (("trial", "whole", "--seed", 9), "trial has no whole with seed 9, only 0, 1, 2"),
        (("trial", "whole", "--round", 3), "trial has no whole with round 3, where none has a round"),
        (("trial", "whole", "--params", "nan"), "a number of parameters must be positive, not nan"),
        (("trial", "whole", "--params", -5), "a number of parameters must be positive, not -5.0"),
        (
            ("trial", "pruned-tuned"),
            "matches 5 networks of trial: choose one by round (0, 1, 2, 3, 4), params (",
        ),
        (("trial", "pruned-tuned", "--round", 5), "no pruned-tuned with round 5, only 0, 1, 2, 3, 4"),
    ],
)
def test_what_is_not_one_network_is_refused_with_the_choices(outputs, capsys, asked, said):
    assert said in refused(capsys, outputs, *asked)


def test_a_network_is_found_by_curve_by_size_and_by_the_beginning_of_its_id(outputs):
    study = outputs / "trial"
    pruned = runs.find_network(study, "pruned-tuned", round=2)
    assert runs.find_network(study, "pruned-tuned", params=pruned.row["params"] + 1).row["round"] == 2
    assert runs.find_network(study, pruned.run.key[:6], round=2).row.equals(pruned.row)
    assert runs.find_network(study, "whole", seed=2).run.seed == 2


def test_the_nearest_size_is_chosen_among_all_ratios(outputs, monkeypatch):
    found = runs.find_network(outputs / "trial", "width").row.to_frame().T
    ratios = pd.concat([found.assign(ratio=0.5, params=9000), found.assign(ratio=0.8, params=4000)])
    monkeypatch.setattr(lookup, "collect", lambda study: ratios)
    assert runs.find_network(outputs / "trial", "width", params=5000).row["ratio"] == 0.8
    assert runs.find_network(outputs / "trial", "width", params=8000).row["ratio"] == 0.5


def test_names_of_classes_cannot_break_the_table(outputs, tmp_path, monkeypatch):
    odd = replace(execution.load_dataset("clutter", 96), classes=("a|b", *"bcdefghij"))
    monkeypatch.setattr(loading, "images_of", lambda *_: odd)
    exported.export(runs.find_network(outputs / "trial", "width"), tmp_path / "out")
    assert numbers(tmp_path / "out")["classes"] == r"10: a\|b, b, c, d, e, f, g, h, i, j"


def test_tables_without_their_runs_are_refused(outputs, tmp_path):
    (tmp_path / "trial").mkdir()
    for name in ("results.csv", "SHA256SUMS"):
        (tmp_path / "trial" / name).write_bytes((outputs / "trial" / name).read_bytes())
    with pytest.raises(InputError, match="has only tables"):
        runs.find_network(tmp_path / "trial", "whole")
