"""A study is one base recipe on one data set: what comes first fixes it, the first notebook may change it."""

import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from horticulture import runs
from horticulture.errors import InputError
from horticulture.execution import cluster
from horticulture.study import base_recipe
from horticulture.study.config import StudyConfig
from horticulture.system import files
from horticulture.training import hardware


@pytest.fixture
def parameters(tmp_path) -> dict:
    """What a notebook declares, and other names that stand in its kernel."""
    return {
        **{"study": "trial", "outputs": str(tmp_path), "device": "cpu", "cluster": "", "workers": 1},
        **{"data": "clutter", "images": 96, "image_size": 0, "network": "wrn-10-1", "seeds": [0]},
        **{"epochs": 2, "lr": 0.1, "schedule": "steps", "batch_size": 32, "weight_decay": 5e-4},
        **{"precision": "float32", "norms": "estimated", "norm_images": 512, "steps": 3},
        **base_recipe.EARLIER_DEFAULTS,
        **{"os": os, "asked": None},
    }


def said(tmp_path: Path) -> dict:
    return files.read_json(tmp_path / "trial" / "study.json")


def test_whatever_notebook_comes_first_fixes_the_base(parameters, tmp_path):
    assert base_recipe.base_of(tmp_path / "trial") is None
    asked = base_recipe.fix(parameters)
    assert asked == StudyConfig.of(parameters)
    assert said(tmp_path)["base"] == {name: parameters[name] for name in base_recipe.BASE}
    assert base_recipe.base_of(tmp_path / "trial") == said(tmp_path)["base"]
    again = base_recipe.fix({**parameters, "steps": 9, "seeds": [1]})  # of these there may be several
    assert (again.steps, again.seeds) == (9, [1])
    base_recipe.check_base(parameters, tmp_path / "another")  # has fixed nothing


@pytest.mark.parametrize("name", base_recipe.BASE)
def test_another_base_is_refused_by_name_with_the_remedy(parameters, tmp_path, name):
    base_recipe.fix(parameters)
    before = (tmp_path / "trial" / "study.json").read_bytes()
    other = {**parameters, name: {"precision": "bfloat16"}.get(name, 9)}
    with pytest.raises(InputError) as error:
        base_recipe.fix(other)
    text = str(error.value)
    assert "\n" not in text
    assert f"the study trial was started with other values ({name}={other[name]!r} instead of " in text
    assert repr(parameters[name]) in text
    assert 'study = "mine"' in text
    assert "01_train" in text
    assert (tmp_path / "trial" / "study.json").read_bytes() == before


def test_all_that_differs_is_named(parameters):
    base_recipe.fix(parameters)
    with pytest.raises(InputError, match=r"images=0 instead of 96, epochs=3 instead of 2"):
        base_recipe.fix({**parameters, "epochs": 3, "images": 0})


def test_the_first_notebook_may_change_it_and_what_was_computed_goes(parameters, tmp_path, capsys):
    study = tmp_path / "trial"
    base = base_recipe.fix(parameters, first=True).baselines[0]
    assert capsys.readouterr().out == ""
    runs.record_curves(study, [runs.CurvePoint("whole", base), runs.CurvePoint("width", base)])
    (study / "curves" / "note.txt").write_text("mine")
    runs.write_tables(study, results=pd.DataFrame({"run": [base.key]}), verdicts=pd.DataFrame())
    for name in ("weights_or_shape.png", "weights_or_shape.svg", "budgets.png", "mine.png"):
        files.write(study / "figures" / name, b"an error of the old base")
    kept = runs.folder(base, tmp_path)
    kept.mkdir(parents=True)
    runs.write_result(base, tmp_path, {}, {})
    base_recipe.fix(parameters, first=True)  # the same once more
    assert len(list((study / "curves").glob("*.json"))) == 2
    assert len(list((study / "figures").iterdir())) == 4
    asked = base_recipe.fix({**parameters, "epochs": 3}, first=True)
    assert asked.epochs == said(tmp_path)["base"]["epochs"] == 3
    assert [path.name for path in (study / "curves").iterdir()] == ["note.txt"]
    assert [path.name for path in (study / "figures").iterdir()] == ["mine.png"]
    left = {path.name for path in study.iterdir() if not path.name.startswith(".")}
    assert left == {"curves", "figures", "study.json"}
    assert runs.result(base, tmp_path) is not None
    printed = capsys.readouterr().out
    assert (
        printed
        == "epochs=3 instead of 2: 01_train removes the results of the study trial and keeps its runs\n"
    )
    with pytest.raises(InputError, match="epochs=2 instead of 3"):
        base_recipe.fix(parameters)


def test_what_else_stands_in_the_file_stays(parameters, tmp_path):
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "study.json").write_text(json.dumps({"device": "an abacus"}))
    base_recipe.fix(parameters)
    assert said(tmp_path)["device"] == "an abacus"
    base_recipe.forget(tmp_path / "trial")
    assert said(tmp_path) == {"device": "an abacus"}


# --- precision -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_settled_once_a_study(parameters, tmp_path, monkeypatch, native):
    """Elsewhere, later, it stays what it was: one curve has one precision."""
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: native)
    expected = "bfloat16" if native else "float32"
    auto = {**parameters, "precision": "auto"}
    first = base_recipe.fix(auto)
    assert first.precision == said(tmp_path)["base"]["precision"] == expected
    assert first.recipe.precision == first.pruning_recipe("fisher").precision == expected
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: not native)
    assert base_recipe.fix(auto).baselines == first.baselines
    assert base_recipe.fix(auto, first=True).baselines == first.baselines
    assert base_recipe.fix({**parameters, "precision": expected}).baselines == first.baselines
    with pytest.raises(InputError, match=f"instead of '{expected}'"):
        base_recipe.fix({**parameters, "precision": "float32" if native else "bfloat16"})


def test_a_study_in_a_precision_that_is_imitated_here_is_refused(parameters, tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "has_bfloat16", lambda device: False)
    name = hardware.device_name(torch.device("cpu"))
    with pytest.raises(InputError, match=re.escape(f"{name} only emulates bfloat16")):
        base_recipe.fix({**parameters, "precision": "bfloat16"})
    assert not (tmp_path / "trial").exists()


def test_with_a_cluster_a_worker_is_asked(parameters, monkeypatch):
    asked = []
    monkeypatch.setattr(cluster, "common_precision", lambda *told: asked.append(told) or "bfloat16")
    actual = base_recipe.fix({**parameters, "precision": "auto", "cluster": "tcp://there:1"})
    assert (actual.precision, asked) == ("bfloat16", [("auto", "cpu", "tcp://there:1")])


# --- damage ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"base": 3}', '{"base": {"epochs": 2}}'])
def test_a_damaged_file_is_refused_by_its_path(parameters, tmp_path, content, capsys):
    path = tmp_path / "trial" / "study.json"
    path.parent.mkdir()
    path.write_text(content)
    runs.record_curves(path.parent, [runs.CurvePoint("whole", StudyConfig.of(parameters).baselines[0])])
    with pytest.raises(InputError, match=rf"{path} is damaged"):
        base_recipe.fix(parameters)
    assert path.read_text() == content
    line = f"{path} is damaged: 01_train removes the results of the study trial and keeps its runs"
    assert base_recipe.describe_change(parameters, path.parent) == line
    base_recipe.fix(parameters, first=True)  # begins again
    assert said(tmp_path)["base"]["epochs"] == 2
    assert not list((path.parent / "curves").iterdir())
    assert (
        capsys.readouterr().out
        == f"{path} is damaged: 01_train removes the results of the study trial and keeps its runs\n"
    )
