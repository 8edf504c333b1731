"""The command: one clear line and exit code 2 for bad input, before anything runs."""

import errno
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from horticulture import cli, execution, networks, runs
from horticulture.cli import commands
from horticulture.study import base_recipe, forecast, inventory, parameters, runner, study_files, terminal
from horticulture.system import files, limits
from horticulture.training import hardware


@pytest.fixture(autouse=True)
def nothing_may_run(monkeypatch, request):
    def run(*_):
        raise AssertionError("a notebook was started")

    monkeypatch.setattr(runner, "execute_notebook", run)


def refused(capsys, *arguments):
    """The one line that the command says on refusing."""
    assert cli.main(list(arguments)) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("horticulture: ")
    return said[0]


@pytest.mark.parametrize(
    ("arguments", "offender", "choices"),
    [
        (["nosuch"], "unknown study 'nosuch'", "quick"),
        (["smoke", "-p", "critreion=l1"], "unknown parameter (-p) 'critreion'", "criterion"),
        (["smoke", "-p", "network=wrn-41-2"], "depth 6n + 4", "40"),
        (["smoke", "-p", "network=torchvision:mnasnet0_5"], "curves has width", "use bottleneck, uniform"),
        (["smoke", "-p", "network=alex"], "unknown network 'alex'", "wrn-DEPTH-WIDTH"),
        (["smoke", "-p", "network=alexnet"], "unknown network 'alexnet'", "mean 'torchvision:alexnet'?"),
        (["smoke", "-p", "epochs=2", "-p", " epochs=3"], "parameter epochs is given twice", ""),
        (["smoke", "-p", "cluster=local:2", "--cluster", "local:2"], "parameter cluster is given twice", ""),
        (["smoke", "-p", "criterion=fischer"], "unknown criterion 'fischer'", "did you mean 'fisher'"),
        (["smoke", "-p", "curves=[width, bottelneck]"], "unknown curve 'bottelneck'", "copycat"),
        (["smoke", "-p", "data=mnist"], "unknown data set 'mnist'", "clutter"),
        (["smoke", "-p", "schedule=never"], "unknown schedule 'never'", "cosine"),
        (["smoke", "-p", "rounds=lots"], "rounds must be of type int", "such as 192, not 'lots'"),
        (["smoke", "-p", "rounds=5000"], "rounds=5000", "112 channels"),
        (["smoke", "-p", "epochs=0"], "epochs must be a whole number", "from 1 to 1,000,000, not 0"),
        (["smoke", "-p", "sizes=[0.5, 2]"], "each of sizes must be a number above 0 and at most 1", "not 2"),
        (["smoke", "-p", "seeds=[zero]"], "each of seeds must be a whole number", "not 'zero'"),
        (["smoke", "-p", "strengths=[0.001]"], "strengths must be of type dict", "such as {'slimming'"),
        (
            ["smoke", "-p", "strengths={slimming: none}"],
            "strengths of slimming must be a number",
            "not 'none'",
        ),
        (["smoke", "-p", "device=abacus"], "unknown device 'abacus'", ""),
        (
            ["smoke", "-p", "data=folder:/no/such/place"],
            "folder:/no/such/place is not an image folder",
            "train/<class>",
        ),
        (["smoke", "--from", "9"], "no notebook begins with '9'", "01_train"),
        (["smoke", "-p", "study=mine"], "study is not a study parameter", "--name NAME"),
        (["smoke", "-p", "outputs=mine"], "outputs is not a study parameter", "--outputs PATH"),
        (["smoke", "-p", "rounds=all", "-p", "ratios=0.5"], "rounds=all means one channel a round", "ratios"),
        (["smoke", "-p", "device=mps"], "unknown device 'mps'", "cpu"),
        (["smoke", "--name", "runs"], "--name 'runs'", "is taken, choose another name"),
        (["smoke", "--name", "a/b"], "--name 'a/b'", "named like a folder"),
        (["smoke", "--name", "quick"], "--name 'quick'", "a study of that name exists"),
        (["smoke", "--name", "rethinking-quick-vgg"], "--name 'rethinking-quick-vgg'", "choose another"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(capsys, tmp_path, arguments, offender, choices):
    line = refused(capsys, "run", *arguments, "--outputs", str(tmp_path / "out"))
    assert offender in line
    assert choices in line
    assert not (tmp_path / "out").exists()


CLUSTER = "cluster must be local:N, with N up to 256, or a Dask scheduler's address, such as tcp://host:8786"
NO_FILE = f"no file {Path('nothere.py').resolve()} (relative paths start at the current directory)"

REFUSED = [
    ("network=nothere.py:make", NO_FILE),
    ("criterion=nothere.py:score", NO_FILE),
    ("data=nothere.py:load", NO_FILE),
    ("seeds=[]", "seeds must have 1 to 1,000 values, not 0"),
    ("seeds=[0,0]", "seeds has 0 twice"),
    ("seeds=[-1]", "each of seeds must be a whole number from 0 to 9,007,199,254,740,992, not -1"),
    ("seeds=[true]", "each of seeds must be a whole number from 0 to 9,007,199,254,740,992, not True"),
    (
        "seeds=[99999999999999999999]",
        "parameter seeds: a number of 20 digits; at most 18 are allowed (line 1)",
    ),
    (
        "sizes=[0.0001]",
        "sizes: 0.0001 is impossible for the curve width (no member of the family is as small",
    ),
    ("curves=[copycat]", "sizes: 0.001 is impossible for the curve copycat (no member of the family"),
    ("floor=0.999", "rounds=8, but the network has 0 channels to remove with floor=0.999"),
    ("images=8193", "images is 8,193, but clutter has 8,192 training images: 0 means all of them"),
    (
        "data=folder:",
        "unknown data set 'folder:': choose from clutter, cifar10, cifar100, svhn, letters, folder:",
    ),
    ("guide_data=nope", "guide_data: unknown data set 'nope': choose from clutter"),
    ("guide_data=clutter", "guide_data is where guide_network is pruned: set both or neither"),
    ("guide_network=nope", "guide_network: unknown network 'nope': choose from wrn-DEPTH-WIDTH"),
    (
        "criterion=fisher,",
        "criterion must be a name, or several separated by commas, not 'fisher,'",
    ),
    ("images=1", "images must be a whole number from 2 to 1,000,000, not 1"),
    ("batch_size=4096", "batch_size is 4,096, but there are only 512 training images"),
    ("device=meta", "unknown device 'meta': choose from auto, cpu, cuda and cuda:NUMBER"),
    ("device=cpu:7", "unknown device 'cpu:7': choose from auto, cpu, cuda and cuda:NUMBER"),
    ("criterion=fisher,fisher", "criterion has 'fisher' twice"),
    ("cap=.nan", "cap must be a number of 1 to 1,000, or 0 for no limit, not nan"),
    ("cap=0.1", "cap must be a number of 1 to 1,000, or 0 for no limit, not 0.1"),
    (
        "strengths={slimming: -1}",
        "strengths of slimming must be a number of 0 or more and at most 1,000, not -1",
    ),
    ("strengths={slim: 1}", "unknown penalty in strengths 'slim': choose from blocks, groups, slimming"),
    ("workers=-3", "workers must be a whole number from 0 to 256, not -3"),
    (
        "base_epoch_factors=[.inf]",
        "each of base_epoch_factors must be a number above 0 and at most 1,000",
    ),
    ("base_epoch_factors=[]", "base_epoch_factors must have 1 to 1,000 values, not 0"),
    ("latency_batch_sizes=[x]", "each of latency_batch_sizes must be a whole number from 1 to 100,000"),
    ("lr=1e308", "lr must be a number above 0 and at most 1,000, not 1e+308"),
    ("cluster=nope", CLUSTER),
    ("cluster=local:0", CLUSTER),
    (
        "cluster=tcp://there:65536",
        CLUSTER,
    ),
    ("epochs=! 5", "parameter epochs: the tag '!': plain values have none (line 1)"),
    ("seeds=[" + "1, " * 20_000 + "1]", "parameter seeds has more than 50,000 characters"),
    ("cluster=local:257", CLUSTER),
    ("cluster=local:99999", CLUSTER),
    ("studdy=x", "unknown parameter (-p) 'studdy': choose from data, images, network"),  # and not study
    ("network=wrn-\u0663\u0664-1", "unknown network"),
    ("data=folder:~nosuch/x", "data=folder:~nosuch/x: no such home folder"),
    ("data=folder:/a\x1b[31m", "data folder:/a\\x1b[31m is not an image folder"),
    ("margin=.nan", "margin must be a number above 0 and at most 1,000, not nan"),
    ("margin=0", "margin must be a number above 0 and at most 1,000, not 0"),
    ("oracle_images=1", "oracle_images must be a whole number from 2 to 1,000,000, not 1"),
    (
        "oracle_criteria=[nope]",
        "oracle_criteria: unknown criterion of single channels 'nope': choose from fisher, taylor",
    ),
    ("oracle_criteria=[magnitude]", "oracle_criteria: unknown criterion of single channels 'magnitude'"),
    ("oracle_images=100000", "oracle_images is 100,000, but clutter has 1,024 held-out images: 0 means all"),
    ("scope=vgg-16-a", "scope=vgg-16-a: the preset vgg-16-a is for 13 groups"),
    ("oracle_channels=0", "oracle_channels must be a whole number from 1 to 1,000,000, not 0"),
    ("network=wrn-1000000000-1", "network wrn-1000000000-1: depths go up to 2,000 and widths to 1,000,000"),
    ("network=resnet-99999999998-4", "network resnet-99999999998-4: depths go up to 2,000"),
    ("network=vit-1000000000-1", "network vit-1000000000-1: depths go up to 2,000"),
    ("pretrained=/" + 300 * "x", "weights file /" + 300 * "x" + " cannot be read: File name too long"),
    ("network=wrn-010-1", "network wrn-010-1: write its numbers without leading zeros"),
    ("network=wrn-10-1-stem01", "network wrn-10-1-stem01: write its numbers without leading zeros"),
    ("network=vit-2000-8", "network: a ViT has at most 100 blocks, not 2000"),
    ("image_size=10000", "image_size=10000: clutter has images of 16 x 16 pixels"),
    ("crop_padding=16", "crop_padding=16: images of 16 x 16 pixels are too small to be shifted by 16"),
    ("source_data=clutter", "source_data=clutter is the data set itself: networks move from another one"),
    ("network=wrn-10-100000", "network=wrn-10-100000 has 739,840,364,800,474 parameters: training takes"),
    ("budgets=[compressed]", "the budget compressed does not apply to anything that fisher prunes here"),
    ("curves=[transferred]", "the curve transferred needs guide_network"),
    ("network=~nosuch/m.py:make", "no path ~nosuch/m.py:make: "),
    ("pretrained=~nosuch/w.safetensors", "no path ~nosuch/w.safetensors: "),
    ("epochs=1:30", "parameter epochs must be of type int, such as 7, not '1:30'"),
    ("epochs=2026-11-27", "parameter epochs must be of type int, such as 7, not '2026-11-27'"),
    ("epochs=" + "9" * 5000, "parameter epochs: a number of 5000 digits; at most 18 are allowed (line 1)"),
    ("sizes=" + "[" * 1000, "parameter sizes: lists and mappings more than 20 deep (line 1)"),
    ("curves=[width, !!binary aGk=]", "parameter curves: the tag 'tag:yaml.org,2002:binary'"),
    ("strengths=!!set {slimming}", "parameter strengths: the tag 'tag:yaml.org,2002:set'"),
    ("sizes=[&a 0.5, *a]", "parameter sizes: an alias (& or *): write the value itself (line 1)"),
    (r'curves=["\UFFFFFFFF"]', "parameter curves: cannot be read as YAML: "),
    (r'curves=["\U00110000"]', "parameter curves: cannot be read as YAML: "),
    ("study=../../x", "study is not a study parameter (-p): use --name NAME"),
    ("data=folder:\0", "parameter data has a character that text cannot have"),
    ("network=\udcff", "parameter network has a character that text cannot have"),
]


# What has no effect is refused only where it was given: a study file may have it for what was changed.
WITHOUT_EFFECT = [
    ("guide_network=vgg-8-8", "guide_network=vgg-8-8 has no effect: only the curve transferred uses it"),
    ("move_lr=0.1", "move_lr has no effect without source_data, which networks are moved from"),
    ("factor_sizes=[0.97, 0.5]", "factor_sizes has 0.5, which is not in sizes: [0.9, 0.97]"),
]


@pytest.mark.parametrize(("given", "line"), [*REFUSED, *WITHOUT_EFFECT], ids=lambda given: ascii(given[:30]))
def test_a_value_that_would_fail_later_is_one_line_before_anything_is_written(capsys, tmp_path, given, line):
    more = ["-p", "sizes=[0.001]"] if given == "curves=[copycat]" else []
    actual = refused(capsys, "run", "smoke", "-p", given, *more, "--outputs", str(tmp_path / "out"))
    assert actual.removeprefix("horticulture: ").startswith(line)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["network=vgg-19-stem2"], "network=vgg-19-stem2: a VGG needs images of at least 31 x 31 pixels"),
        (["image_size=2"], "image_size=2: clutter has images of 16 x 16 pixels"),
        (["images=3", "batch_size=2"], "images=3: clutter has 10 classes, so some would have none of 3"),
        (
            ["source_data=letters", "source_images=16"],
            "source_images=16: letters has 26 classes, so some would have none of 16",
        ),
        (["guide_network=vgg-8-8", "curves=[transferred]"], "guide_network=vgg-8-8: a profile of 5 stages"),
        (
            ["network=torchvision:inception_v3", "curves=[]"],
            "network=torchvision:inception_v3: it does not accept images of 16 x 16 pixels (75 x 75 works",
        ),
        (
            ["guide_network=wrn-10-1", "guide_data=cifar10", "curves=transferred"],
            "data set 'cifar10' is missing",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said_by_the_name_of_the_parameter(capsys, tmp_path, monkeypatch, given, line):
    monkeypatch.setattr(execution, "load_dataset", pytest.fail)  # which loads torch
    monkeypatch.setattr(networks, "named", pytest.fail)  # which makes networks
    options = [word for one in given for word in ("-p", one)]
    actual = refused(capsys, "run", "smoke", *options, "--outputs", str(tmp_path / "out"))
    assert actual.removeprefix("horticulture: ").startswith(line)


def test_more_prunings_than_can_be_described_are_refused(capsys, tmp_path):
    """A file of a few lines could ask for a thousand million: to describe them would take days."""
    ratios = [n / 100 for n in range(1, 41)]
    given = ["-p", f"seeds={[*range(50)]}", "-p", f"ratios={ratios}"]
    actual = refused(capsys, "run", "smoke", *given, "--outputs", str(tmp_path / "out"))
    assert "ask for 2,000 pruning runs; at most 1,000 are allowed" in actual


def test_a_file_that_says_a_number_for_a_path_is_refused(capsys, tmp_path):
    (tmp_path / "own.yaml").write_text("parameters: {pretrained: 5}")
    actual = refused(capsys, "run", str(tmp_path / "own.yaml"), "--outputs", str(tmp_path / "out"))
    assert "parameter pretrained must be of type str, such as '', not 5" in actual


@pytest.mark.parametrize(
    "command", [["run", "smoke"], ["clean"], ["show", "smoke"]], ids=lambda given: given[0]
)
@pytest.mark.parametrize("inside", ["", "x"])
def test_outputs_that_can_be_no_folder_are_refused(capsys, tmp_path, command, inside):
    (tmp_path / "file").write_text("mine")
    where = tmp_path / "file" / inside
    assert refused(capsys, *command, "--outputs", str(where)) == (
        f"horticulture: outputs {where}: {tmp_path / 'file'} is not a folder"
    )


@pytest.mark.parametrize("command", [["show", "quick"], ["run", "smoke"], ["clean"]])
def test_outputs_in_nobodys_home_are_refused(capsys, command):
    assert "no path ~nosuch/x: " in refused(capsys, *command, "--outputs", "~nosuch/x")


def test_what_a_strangers_file_says_does_not_drive_the_terminal(capsys, tmp_path):
    (tmp_path / "own.yaml").write_text('parameters: {data: "folder:/\\x9b31m"}')
    assert cli.main(["parameters", str(tmp_path / "own.yaml")]) == 0
    said = capsys.readouterr().out
    assert "\x9b" not in said
    assert "folder:/\\x9b31m" in said


@pytest.mark.parametrize(
    ("given", "modules"),
    [
        ("seeds=[]", ["torch", "pandas"]),
        ("epochs=x", ["torch", "pandas"]),
        ("sizes=2", ["torch", "pandas"]),
        ("batch_size=4096", ["torch", "pandas"]),
        ("budgets=[compressed]", ["torch", "pandas"]),
        ("curves=[transferred]", ["torch", "pandas"]),
        ("data=folder:/no/such/place", ["torch", "pandas"]),
        ("images=8193", ["torch"]),
        ("data=cifar10", ["torch"]),
        ("network=torchvision:nope", ["torch", "pandas"]),
        ("network=torchvision:swin_v2_b", ["torch", "pandas"]),
        ("network=nope.py:make", ["torch", "pandas"]),
        ("guide_network=nope.py:make", ["torch", "pandas"]),
        ("criterion=nope.py:f", ["torch", "pandas"]),
        ("data=nope.py:f", ["torch", "pandas"]),
        ("pretrained=/nope.safetensors", ["torch", "pandas"]),
    ],
)
def test_plain_values_are_refused_at_once(tmp_path, given, modules):
    """By a real process: what takes seconds to load is not loaded for it. Torch alone takes two."""
    code = (
        "import sys\nfrom horticulture import cli\nended = cli.main(sys.argv[1:])\n"
        "print(*sys.modules)\nsys.exit(ended)"
    )
    arguments = ["run", "quick", "-p", given, "--outputs", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not set(modules) & set(done.stdout.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["wrn-10-1", "--image", "3x32"], "--image '3x32': expected CxHxW"),
        (["wrn-10-1", "--image", "0x0x0"], "image must be (channels, height, width), all positive"),
        (["wrn-10-1", "--classes", "0"], "classes must be a whole number from 2 to 1,000,000, not 0"),
        (["torchvision:vgg11", "--classes", "1000000000"], "from 2 to 1,000,000, not 1000000000"),
        (["nope.py:make"], "no file "),
        (["resnet18"], "unknown network 'resnet18': did you mean 'torchvision:resnet18'?"),
        (["wrn-11-1"], "a Wide ResNet has depth 6n + 4"),
        (["wrn-10-0"], "network wrn-10-0: its numbers must be positive"),
        (["nope"], "unknown network 'nope'"),
        (["torchvision:inception_v3"], "it does not accept images of 32 x 32 pixels"),
        (["torchvision:nope"], "unknown torchvision network 'nope': choose from alexnet"),
    ],
)
def test_groups_of_what_no_network_is_are_refused_without_torch(capsys, monkeypatch, given, said):
    monkeypatch.setitem(sys.modules, "horticulture.networks.group_table", None)  # to import it fails
    assert said in refused(capsys, "groups", *given)


@pytest.mark.parametrize("command", [["groups"], ["run", "smoke", "--dry-run", "-p"]], ids=str)
def test_a_network_of_torchvision_that_is_too_large_is_refused_without_making_it(
    capsys, monkeypatch, command
):
    monkeypatch.setattr(limits, "memory", lambda: 12 * 644_812_894 - 1)
    monkeypatch.setattr(networks, "named", pytest.fail)
    monkeypatch.setitem(sys.modules, "horticulture.networks.group_table", None)
    *command, option = [*command, ""] if command == ["groups"] else command
    name = "torchvision:regnet_y_128gf"
    assert refused(capsys, *command, *([option, f"network={name}"] if option else [name])) == (
        f"horticulture: network={name} has 644,812,894 parameters: training takes 8 GB of memory, but there "
        "are only 8"
    )


def test_a_precision_that_would_only_be_imitated_is_refused_before_anything_is_written(
    capsys, tmp_path, monkeypatch, started
):

    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: False)
    line = r"horticulture: .* only emulates bfloat16, .*: use float32"
    place = ["--outputs", str(tmp_path / "new")]
    assert cli.main(["run", "smoke", "-p", "precision=bfloat16", *place]) == 2
    assert re.fullmatch(rf"{line}\n", capsys.readouterr().err)
    assert not (tmp_path / "new").exists()
    for name in ("study.json", "results.csv"):  # of a study that came from another processor
        files.make_folder(tmp_path / "new" / "theirs")
        (tmp_path / "new" / "theirs" / name).write_text("{}")
    smoke = parameters.resolve_parameters(study_files.read("smoke"), {})
    base = {name: smoke[name] for name in base_recipe.BASE} | {"precision": "bfloat16"}
    files.write_json(tmp_path / "new" / "theirs" / "study.json", {"base": base})
    assert cli.main(["run", "smoke", "-p", "precision=auto", "--name", "theirs", *place]) == 2
    own = r", under another name \(--name mine\): the study theirs has bfloat16"
    assert re.fullmatch(rf"{line}{own}\n", capsys.readouterr().err)
    assert (tmp_path / "new" / "theirs" / "results.csv").exists()
    monkeypatch.setattr(runs, "result", lambda *_: {})  # all are finished: nothing is left to imitate
    for module in (inventory, forecast):  # imported first while this lasts, forecast would keep it
        monkeypatch.setattr(module, "runs_by_purpose", lambda *_: {"the whole network": [None]})
    assert cli.main(["run", "smoke", "-p", "precision=auto", "--name", "theirs", *place]) == 0
    assert len(started[0]) == 5


def test_a_gpu_without_a_driver_is_refused_without_torch(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GPUS", (str(tmp_path / "driver"),))
    monkeypatch.setattr(hardware, "resolve_device", pytest.fail)
    given = ["run", "smoke", "-p", "device=cuda:1", "--outputs", str(tmp_path / "out")]
    assert "no device 'cuda:1' here: choose from auto and cpu" in refused(capsys, *given)
    (tmp_path / "driver").touch()
    with pytest.raises(pytest.fail.Exception):  # now torch is asked
        cli.main(given)
    assert not (tmp_path / "out").exists()


# --- images of one's own -------------------------------------------------------------------------------


def test_a_folder_is_looked_for_where_the_command_is_given(started, tmp_path, png_folder, monkeypatch):
    """Notebooks run elsewhere, and so do their workers."""
    done, _ = started
    monkeypatch.chdir(png_folder.parent)
    monkeypatch.setenv("HOME", str(png_folder.parent))
    arguments = ["run", "smoke", "--outputs", str(tmp_path), "-p", "network=wrn-10-1", "-p", "rounds=2"]
    for name, path, actual in (
        ("one", f"{png_folder.name}/", str(png_folder)),
        ("two", f"{png_folder}/", f"{png_folder}/"),  # as a study may say that was begun before
        ("three", f"~/{png_folder.name}", f"~/{png_folder.name}"),
    ):
        given = ["-p", "batch_size=4", "-p", "images=0", "-p", "guide_network=wrn-10-2"]
        given += ["-p", "curves=transferred"]
        given += ["-p", f"data=folder:{path}", "-p", f"guide_data=folder:{path}"]
        assert cli.main([*arguments, *given, "--name", name]) == 0
        settled = [settled for study, _, settled in done if study == name]
        assert (
            {one["data"] for one in settled} == {one["guide_data"] for one in settled} == {f"folder:{actual}"}
        )


# --- a study in parts ------------------------------------------------------------------------------------

PARTS = """
about: Two small networks.
parameters: { images: 256, epochs: 1, rounds: 8, steps: 1, sizes: [0.9], workers: 1 }
parts:
  wide: { network: wrn-10-1 }
  other: { network: vgg-8-8, criterion: slimming, strengths: { slimming: 0.01 } }
"""


@pytest.fixture
def started(monkeypatch):
    """What would have been executed: study, notebook, its parameters; and the folders that were shown."""
    done, shown = [], []

    def execute(notebook, target, settled, terminal):
        done.append((target.parents[1].name, notebook.stem, settled))

    monkeypatch.setattr(runner, "execute_notebook", execute)
    monkeypatch.setattr(runner, "to_html", lambda target: target)
    monkeypatch.setattr(commands, "print_tables", lambda folder: shown.append(folder.name))
    return done, shown


def test_a_study_in_parts_goes_through_the_notebooks_once_for_each(started, tmp_path):
    done, shown = started
    (tmp_path / "two.yaml").write_text(PARTS)
    overrides = ["-p", "strengths={slimming: 0.5, blocks: 1}", "-p", "seeds=[4]"]
    assert (
        cli.main(
            [
                "run",
                str(tmp_path / "two.yaml"),
                "--name",
                "two",
                "--outputs",
                str(tmp_path / "out"),
                *overrides,
            ]
        )
        == 0
    )
    stems = [path.stem for path in parameters.notebooks()]
    assert [(name, stem) for name, stem, _ in done] == [
        (f"two-{p}", s) for p in ("wide", "other") for s in stems
    ]
    assert shown == ["two-wide", "two-other"]
    for name, stem, settled in done:
        assert settled["study"] == name
        assert settled["network"] == ("wrn-10-1" if name == "two-wide" else "vgg-8-8")
        assert (settled["seeds"], settled["epochs"]) == ([4], 1)
        if stem != "01_train":
            assert settled["criterion"] == ("fisher" if name == "two-wide" else "slimming")
            assert settled["strengths"] == {"slimming": 0.5, "blocks": 1}
    for part in ("two-wide", "two-other"):
        written = json.loads((tmp_path / "out" / part / "study.json").read_text())
        assert written["study"] == part


OTHER = (["-p", "epochs=2"], "smoke-epochs-2"), (["-p", "epochs=2", "--name", "mine"], "mine")


@pytest.mark.parametrize(("more", "name"), [([], "smoke"), (["-p", "workers=2"], "smoke"), *OTHER])
def test_a_study_of_ones_own_leaves_that_of_the_file_alone(started, tmp_path, capsys, more, name):
    done, shown = started
    (tmp_path / "smoke" / "curves").mkdir(parents=True)
    (tmp_path / "smoke" / "curves" / "whole.json").write_text("[]")
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path), *more]) == 0
    assert {study for study, _, _ in done} == set(shown) == {name}
    assert (tmp_path / "smoke" / "curves" / "whole.json").exists() == (name != "smoke")
    said = "smoke with changed parameters: results go to smoke-epochs-2 (choose another name with --name)\n"
    assert capsys.readouterr().out == (said if name == "smoke-epochs-2" else "")


def test_a_link_in_a_study_folder_is_replaced_and_what_it_leads_to_is_left_alone(started, tmp_path):
    """A folder from a stranger could have one that leads to a file of its user."""
    mine, folder = tmp_path / "mine", tmp_path / "smoke"
    mine.write_text("dear")
    for name in ("study.json", "notebooks/glossary.md", "notebooks/solutions.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(mine)
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 0
    assert mine.read_text() == "dear"
    assert (folder / "notebooks" / "glossary.md").read_text().startswith("# ")


@pytest.mark.parametrize("name", ["mine", "loop", "nowhere"])
def test_a_link_that_nothing_is_written_through_is_left_alone(started, tmp_path, name):
    folder = tmp_path / "out" / "smoke"
    folder.mkdir(parents=True)
    (folder / name).symlink_to("loop" if name == "loop" else tmp_path / name)
    (tmp_path / "mine").mkdir()
    assert cli.main(["run", "smoke", "--outputs", str(folder.parent)]) == 0
    assert (folder / name).is_symlink()


@pytest.mark.parametrize("name", ["curves", "exports", "figures", "notebooks", ".lock", ".study.lock"])
def test_a_link_to_itself_is_refused_where_something_would_be_written(started, tmp_path, capsys, name):
    folder = tmp_path / "smoke"
    folder.mkdir()
    (folder / name).symlink_to(name)
    said = refused(capsys, "run", "smoke", "--outputs", str(tmp_path))
    assert f"{folder / name} is a link to itself: remove the link" in said


@pytest.mark.parametrize("name", ["curves", "notebooks", "figures", ".lock"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_out_of_a_study_folder_to_another_folder_is_refused(started, tmp_path, capsys, name, there):
    mine, folder = tmp_path / "mine", tmp_path / "out" / "smoke"
    mine.mkdir()
    (mine / "whole.json").write_text("dear")
    folder.mkdir(parents=True)
    (folder / name).symlink_to(mine if there else tmp_path / "nowhere")
    said = refused(capsys, "run", "smoke", "--outputs", str(folder.parent))
    assert f"{name} is a link to {tmp_path}" in said
    assert [path.name for path in folder.iterdir()] == [name]
    assert (mine / "whole.json").read_text() == "dear"
    assert not (tmp_path / "nowhere").exists()


def test_an_export_follows_no_link_out_of_the_study_folder_either(tmp_path, capsys):
    (tmp_path / "out" / "smoke").mkdir(parents=True)
    (tmp_path / "out" / "smoke" / "exports").symlink_to(tmp_path)
    assert "exports is a link" in refused(capsys, "export", "smoke", "whole", "--outputs", f"{tmp_path}/out")


def test_a_study_folder_that_is_itself_a_link_is_used(started, tmp_path):
    (tmp_path / "other" / "real").mkdir(parents=True)
    (tmp_path / "other" / "figures").symlink_to(tmp_path / "other" / "real")
    (tmp_path / "smoke").symlink_to(tmp_path / "other")
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 0
    assert (tmp_path / "other" / "study.json").exists()


@pytest.mark.parametrize("long", ["/" + 300 * "x", "/x" * 5000])
def test_too_long_a_path_is_cut_in_the_line_that_refuses_it(started, tmp_path, long, capsys, monkeypatch):
    said = f"horticulture: {long[:60]}...: File name too long"
    assert refused(capsys, "publish", "--to", long) == said
    monkeypatch.setenv("HORTICULTURE_DATA", long)
    assert refused(capsys, "download", "svhn") == said
    assert refused(capsys, "run", "smoke", "--outputs", str(tmp_path)) == said


@pytest.mark.parametrize(
    ("first", "stems"), [("4", "45"), ("04", "45"), ("05_analysis", "5"), ("1", "12345"), ("01", "12345")]
)
def test_from_a_notebook_by_its_number(started, tmp_path, first, stems):
    done, _ = started
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path), "--from", first]) == 0
    assert [stem[1] for _, stem, _ in done] == list(stems)


def test_all_rounds_are_as_many_as_there_are_channels(started, tmp_path):
    done, _ = started
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path), "-p", "rounds=all"]) == 0
    assert {settled["rounds"] for *_, settled in done} == {112}
    written = json.loads((tmp_path / "smoke-rounds-all" / "study.json").read_text())
    assert written["parameters"]["rounds"] == 112


def test_a_study_of_which_one_part_would_fail_does_not_begin(capsys, tmp_path):
    (tmp_path / "two.yaml").write_text(PARTS.replace("vgg-8-8", "vgg-9-8"))
    line = refused(capsys, "run", str(tmp_path / "two.yaml"), "--outputs", str(tmp_path / "out"))
    assert "a VGG has depth" in line
    assert not (tmp_path / "out").exists()


def test_show_has_the_tables_of_every_part_that_is_there(capsys, tmp_path):
    names = [part.name for part in study_files.read("rethinking-quick").expand_parts()]
    rows = {
        names[0]: [("whole", "", 1000, 11.5, None), ("pruned-scratch", "l1", 500, 12.5, 0.5)],
        names[2]: [("whole", "", 1000, 13.5, None), ("width", "", 500, 14.5, None)],
    }
    for name, actual in rows.items():
        (tmp_path / name / "figures").mkdir(parents=True)
        (tmp_path / name / "figures" / f"of_{name}.png").write_bytes(b"")
        columns = ["curve", "criterion", "params", "test_error", "ratio"]
        frame = pd.DataFrame(actual, columns=columns).assign(seed=0).reindex(columns=runs.RESULT_COLUMNS)
        frame.to_csv(tmp_path / name / "results.csv", index=False)
    assert cli.main(["show", "rethinking-quick", "--outputs", str(tmp_path)]) == 0
    first, _, second = capsys.readouterr().out.partition(f"of_{names[0]}.png")
    assert "11.5" in first
    assert "by budget" in first
    assert "12.5" in first
    assert "13.5" in second
    assert "14.5" in second
    assert "by budget" not in second  # nothing was pruned by a ratio
    assert second.rstrip().endswith(f"of_{names[2]}.png")
    assert cli.main(["show", names[2], "--outputs", str(tmp_path)]) == 0  # a part by its own name
    shown = capsys.readouterr().out
    assert "13.5" in shown
    assert "11.5" not in shown
    (tmp_path / names[2] / "study.json").write_text("")
    assert "study.json is damaged" in refused(capsys, "show", names[2], "--outputs", str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "smoke", "another"], "horticulture: unrecognized arguments: another"),
        (["run"], "horticulture run: the following arguments are required: STUDY"),
        (["run", "smoke", "--name", ""], "horticulture: an argument is empty"),
        (["clean", "--outputs="], "horticulture: --outputs= is empty"),
        (["publish", "smoke", " "], "horticulture: an argument is empty"),
        (["run", "smoke", "--name"], "horticulture run: argument --name: expected one argument"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(said)
    assert line.endswith("--help)")


def test_tables_fit_the_terminal(capsys, monkeypatch):
    reference = Path(__file__).parents[1] / "outputs" / "reference" / "rethinking-quick-vgg"
    wide, narrow = [], []
    for width, lines in ((0, wide), (90, narrow)):
        monkeypatch.setattr(sys.stdout, "isatty", lambda tty=bool(width): tty)
        monkeypatch.setattr(terminal, "columns", lambda width=width: width)
        terminal.print_tables(reference)
        shown = capsys.readouterr().out
        assert "(in brackets: " in shown
        lines += shown.partition("(in brackets: ")[0].splitlines()
    assert max(map(len, wide)) > 150
    assert max(map(len, narrow)) <= 90
    assert set(" ".join(wide).split()) == set(" ".join(narrow).split()) - {"\\"}


@pytest.mark.parametrize(
    ("column", "code", "said"),
    [("test_error", 0, "no network has a test error"), ("curve", 2, "results.csv is damaged")],
)
def test_a_table_with_an_empty_column_is_shown_or_refused(tmp_path, capsys, column, code, said):
    reference = Path(__file__).parents[1] / "outputs" / "reference" / "quick" / "results.csv"
    (tmp_path / "empty").mkdir()
    frame = pd.read_csv(reference, dtype=str).assign(**{column: ""})
    frame.to_csv(tmp_path / "empty" / "results.csv", index=False)
    assert cli.main(["show", "empty", "--outputs", str(tmp_path)]) == code
    output = capsys.readouterr()
    assert said in output.out + output.err
    assert "Empty DataFrame" not in output.out


def test_names_of_rows_that_are_too_long_go_on_in_the_rows_below(capsys, monkeypatch):
    reference = Path(__file__).parents[1] / "outputs" / "reference" / "quick"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    terminal.print_tables(reference)
    table = capsys.readouterr().out.partition("(in brackets: ")[0].splitlines()
    assert table[0] == "test error (%) by parameters left (own training)"
    assert table[1].split() == ["12", "%", "20", "%", "40", "%", "100", "%"]
    assert max(map(len, table)) <= 80
    below = next(n for n, line in enumerate(table) if line.startswith("Fisher-pruned, learning rate "))
    assert table[below].count("(") == 3  # the three sizes
    assert table[below + 1].strip() == "rewound"


def test_a_table_has_one_block_wherever_its_names_leave_room(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    reference = Path(__file__).parents[1] / "outputs" / "reference"
    for study, widths in (("quick", range(74, 124, 3)), ("rethinking-quick-vgg", range(78, 84))):
        for width in widths:
            monkeypatch.setattr(terminal, "columns", lambda width=width: width)
            terminal.print_tables(reference / study)
            first = capsys.readouterr().out.partition("(in brackets: ")[0].partition("by budget")[0]
            assert "\\" not in first
            assert max(map(len, first.splitlines())) <= width


def test_show_finds_a_study_by_its_file_and_by_the_name_of_its_parts(monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(commands, "print_tables", lambda folder: shown.append(folder.name))
    (tmp_path / "own.yaml").write_text(PARTS)
    for name in ("own-wide", "own-other", "mine-wide"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.csv").write_text("")
    assert cli.main(["show", str(tmp_path / "own.yaml"), "--outputs", str(tmp_path)]) == 0
    assert cli.main(["show", "mine", "--outputs", str(tmp_path)]) == 0
    assert shown == ["own-wide", "own-other", "mine-wide"]


@pytest.mark.parametrize("name", ["quick", "smoke", "rethinking-quick"])  # what needs no download
def test_a_study_of_the_checkout_is_not_refused(started, tmp_path, name):
    done, shown = started
    assert cli.main(["run", name, "--outputs", str(tmp_path)]) == 0
    parts = study_files.read(name).expand_parts()
    assert len(done) == len(parts) * len(parameters.notebooks())
    assert shown == [part.name for part in parts]


def test_a_damaged_results_file_is_named(capsys, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.csv").write_text("curve,params\nwidth,3\n")
    assert "results.csv lacks the columns" in refused(capsys, "show", "mine", "--outputs", str(tmp_path))


def test_show_of_a_study_that_is_not_there_says_what_is(capsys, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.csv").write_text("")
    line = refused(capsys, "show", "mine", "--outputs", str(tmp_path))
    assert "no study 'mine'" in line
    assert "other" in line


def test_studies_lists_them_all(capsys):
    assert cli.main(["studies"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in study_files.studies())


def test_a_folder_of_results_that_has_vanished_is_one_line_that_promises_nothing(
    monkeypatch, capsys, tmp_path
):
    def vanished(*_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(tmp_path / "smoke/study.json"))

    monkeypatch.setattr(study_files, "write_json", vanished)
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith(f"No such file or directory: '{tmp_path}/smoke/study.json'")


def test_what_a_study_file_says_may_lose_its_effect(started, tmp_path):
    """Only the command is held to it: its other values may be the cause."""
    done, _ = started
    (tmp_path / "own.yaml").write_text(
        "parameters: {network: wrn-10-1, images: 512, rounds: 1, guide_network: wrn-16-1, curves: [width]}"
    )
    given = ["-p", "sizes=[0.9]", "-p", "base_epoch_factors=1,2"]
    assert cli.main(["run", str(tmp_path / "own.yaml"), "--outputs", str(tmp_path / "out"), *given]) == 0
    assert done


def test_the_list_says_what_is_not_for_a_study_file(capsys):
    assert cli.main(["parameters"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "(not part of the recipe); not for study files, use --cluster ADDRESS " in listed


def test_parameters_are_listed_by_notebook_with_the_values_of_a_study(capsys):
    assert cli.main(["parameters"]) == 0
    listed = capsys.readouterr().out
    blocks = re.split(r"^(\d\d_\w+)\n", listed, flags=re.MULTILINE)
    assert blocks[1::2] == [path.stem for path in parameters.notebooks()]
    for name, declaration in parameters.all_parameters().items():
        if name not in parameters.OPTIONS:  # which are options of their own
            block = " ".join(blocks[2 * declaration["notebook"] + 2].split())
            assert re.search(
                rf"\b{name}: {declaration['type']} = .* {re.escape(declaration['help'])}( |;|$)", block
            )
    assert "\n  epochs: int = 7\n" in listed
    assert cli.main(["parameters", "rethinking-quick"]) == 0
    of_study = capsys.readouterr().out
    assert "\n* epochs: int = 4\n" in of_study
    assert "\n* network: str = by part\n" in of_study
    assert "\n  bits: int = 5\n" in of_study
    assert max(map(len, (listed + of_study).splitlines())) <= 80


@pytest.mark.parametrize("command", [[], ["run"]])
def test_help_names_the_environment_and_fits_into_80_columns(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([*command, "--help"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "HORTICULTURE_OUTPUTS" in said
    assert "HORTICULTURE_DATA" in said


def test_python_m_horticulture_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["horticulture", "studies"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("horticulture", run_name="__main__")
    assert ended.value.code == 0
    assert "quick" in capsys.readouterr().out


def test_a_run_begun_from_the_start_clears_older_curves_but_no_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "execute_notebook", lambda *_: None)
    monkeypatch.setattr(runner, "to_html", lambda target: target)
    files.write_json(tmp_path / "smoke" / "curves" / "old.json", {"points": []})
    files.write_json(tmp_path / "runs" / "abc" / "run.json", {})
    chosen = study_files.read("smoke")
    names = ("results.csv", "figures/weights_or_shape.png", "notebooks/05_analysis.html")
    old = [tmp_path / "smoke" / name for name in names]
    for path in old:
        files.write(path, b"of other seeds")
    runner.run(chosen, parameters.resolve_parameters(chosen, {}), tmp_path, first="3")
    assert [path.exists() for path in old] == [True, True, False]
    assert (tmp_path / "smoke" / "curves" / "old.json").exists()
    runner.run(chosen, parameters.resolve_parameters(chosen, {}), tmp_path)
    assert not (tmp_path / "smoke" / "curves" / "old.json").exists()
    assert not any(path.exists() for path in old)
    assert (tmp_path / "runs" / "abc" / "run.json").exists()


def test_an_interruption_ends_in_one_clear_line(monkeypatch, capsys, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "execute_notebook", interrupted)
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 130
    assert capsys.readouterr().err == f"{cli.STOPPED}{cli.TO_RESUME}\n"
    monkeypatch.setattr(study_files, "studies", interrupted)
    assert cli.main(["studies"]) == 130
    assert capsys.readouterr().err == f"{cli.STOPPED}\n"  # there is nothing to resume


def test_an_interruption_while_the_command_is_being_loaded_is_one_line_too(tmp_path):
    code = (
        "import sys\nclass Interruption:\n    def find_spec(self, name, *_):\n"
        "        if name == 'yaml':\n            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interruption())\n"
        "from horticulture import cli\nsys.exit(cli.main(['studies']))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (130, f"{cli.STOPPED}\n")


def test_a_full_disk_ends_in_one_clear_line(monkeypatch, capsys, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "smoke" / "study.json"))

    monkeypatch.setattr(study_files, "write_json", full)
    assert cli.main(["run", "smoke", "--outputs", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert "study.json" in said[0]


def test_help_gives_examples_and_needs_nothing_that_takes_long_to_load():
    code = (
        "import sys\nfrom horticulture import cli\ntry:\n    cli.main(sys.argv[1:])\nfinally:\n"
        "    print(*{'jsonschema', 'pandas', 'nbformat', 'papermill', 'torch'} & sys.modules.keys())"
    )
    for arguments, said in (
        (["run", "--help"], "-p seeds=0,1,2,3,4"),
        (["studies"], "rethinking-quick"),
        (["parameters"], "finetune_lr"),
    ):
        process = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert process.returncode == 0
        assert said in process.stdout
        assert process.stdout.endswith("\n\n")  # none of them


# --- networks that somebody brings -----------------------------------------------------------------------


def test_a_network_that_torchvision_does_not_have_is_named_once(capsys):
    assert cli.main(["run", "smoke", "-p", "network=torchvision:nope"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("horticulture: unknown torchvision network 'nope': choose from alexnet")
    assert said.count("nope") == 1
    assert "resnet18" in said


def test_a_strangers_study_does_not_run_its_code(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text("open('ran', 'w').close()")
    study = tmp_path / "theirs.yaml"
    study.write_text("parameters: {network: 'models.py:make'}")
    assert cli.main(["run", str(study)]) == 2
    assert "models.py:make is code, which runs only if you say so: --allow-code" in capsys.readouterr().err
    for name, value in {
        "criterion": "models.py:f,l1",
        "oracle_criteria": "[models.py:f]",
        "data": "models.py:f",
    }.items():
        study.write_text(f"parameters: {{{name}: {value if value[0] == '[' else repr(value)}}}")
        assert cli.main(["run", str(study)]) == 2
        assert "models.py:f is code, which runs only if you say so: --allow-code" in capsys.readouterr().err
    folder = tmp_path / "outputs" / study.stem  # theirs too
    files.write_json(folder / "study.json", {"parameters": {}, "own": {"models.py:f": {}}})
    study.write_text("parameters: {criterion: 'models.py:f'}")
    assert cli.main(["run", str(study), "--from", "02", "--outputs", str(folder.parent)]) == 2
    assert "models.py:f is code, which runs only if you say so: --allow-code" in capsys.readouterr().err
    study.write_text("parameters: {network: 'models.py:make', allow_code: true}")
    assert cli.main(["run", str(study)]) == 2
    assert "use --allow-code" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
    # Named by a person: it runs, and is seen to have no such function.
    assert cli.main(["run", "smoke", "-p", "curves=[]", "-p", "network=models.py:make"]) == 2
    assert "unknown function of models.py 'make'" in capsys.readouterr().err
    assert (tmp_path / "ran").exists()


def test_groups_are_listed_with_what_cannot_go(tmp_path, capsys):
    (tmp_path / "models.py").write_text(
        "from torch import nn\n\ndef make(image, classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(6 * 36, classes))\n"
    )
    assert cli.main(["groups", f"{tmp_path}/models.py:make", "--image", "3x8x8", "--classes", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    # five of six filters of 3 x 3 x 3 with their biases, and 36 columns of four weights for each
    assert lines[1].split() == ["0", "6", str(5 * (27 + 1 + 36 * 4))]
    assert lines[2] == "1 group, total width 6; 1,036 parameters, 6,696 MACs"
    assert lines[3] == f"at their minimum widths {1036 - 5 * 172} parameters are left, 17 %"
    assert lines[4] == "cannot be pruned, its channels are the network's output: 2"
    assert cli.main(["groups", "wrn-10-1"]) == 0
    assert "3.1" in capsys.readouterr().out
    assert cli.main(["groups", "wrn-10-1", "--image", "32"]) == 2
    assert "--image '32': expected CxHxW" in capsys.readouterr().err
    assert cli.main(["groups", "wrn-10-1", "--image", "3x99999999x99999999"]) == 2
    assert "images have at most 1,024 channels, rows and columns, not (3, 9999" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_tables_are_printed_in_any_encoding(encoding):
    reference = Path(__file__).parents[1] / "outputs" / "reference"
    process = subprocess.run(
        [sys.executable, "-m", "horticulture", "show", "quick", "--outputs", str(reference)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert (process.returncode, process.stderr) == (0, b"")
    assert "Fisher-pruned" in process.stdout.decode(encoding)
