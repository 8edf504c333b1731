"""Training: schedules and steps worked by hand, and the same bits from the same seed."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from horticulture import architecture, data, networks, training
from horticulture.data import Batches
from horticulture.errors import InputError
from horticulture.training import TrainingRecipe, evaluation, trainer

PLAIN = TrainingRecipe(epochs=2, batch_size=10, precision="float32")
POINTS = {
    "steps": {0: 1, 0.29: 1, 0.3: 0.2, 0.59: 0.2, 0.6: 0.04, 0.8: 0.008, 1: 0.008},
    "tenths": {0: 1, 0.49: 1, 0.5: 0.1, 0.75: 0.01, 1: 0.01},
    "cosine": {0: 1, 1 / 3: 0.75, 0.5: 0.5, 1: 0},
    "one-cycle": {0: 0, 0.125: 0.5, 0.25: 1, 0.625: 0.5, 1: 0},
    "constant": {0: 1, 0.5: 1, 1: 1},
}


@pytest.mark.parametrize("schedule", training.SCHEDULES)
def test_a_schedule_by_hand(schedule):
    for done, factor in POINTS[schedule].items():
        assert training.SCHEDULES[schedule](done) == pytest.approx(factor, abs=1e-12), done


@pytest.mark.parametrize("schedule", training.SCHEDULES)
def test_the_recipes_rate_is_the_highest_of_the_schedule(schedule):
    factors = [training.SCHEDULES[schedule](i / 1000) for i in range(1001)]
    assert max(factors) == pytest.approx(1)
    assert min(factors) >= 0


def test_a_fit_steps_at_the_middle_of_each_share_of_the_schedule(tiny, images, generator, monkeypatch):
    rates = []

    def note(network, optimizer, x, y, dtype, callback):
        rates.append(optimizer.param_groups[0]["lr"])
        return torch.zeros(())

    monkeypatch.setattr(trainer, "step", note)
    recipe = replace(PLAIN, schedule="one-cycle", lr=0.8, batch_size=20)  # two steps an epoch, four in all
    list(training.Trainer(networks.build(tiny), images, recipe, generator))
    # at 1/8, 3/8, 5/8 and 7/8: half way up, then 5/6, 3/6 and 1/6 of the way down
    assert rates == pytest.approx([0.8 * share for share in (1 / 2, 5 / 6, 3 / 6, 1 / 6)])


def test_two_steps_equal_gradient_descent_by_hand(tiny, images, generator):
    network = networks.build(tiny, generator).double().train()
    optimizer = training.sgd(network, lr=0.1, momentum=0.9, weight_decay=0.01)
    x, y = images.normalise(images.train.pixels).double(), images.train.labels
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    for _ in range(2):
        weights = [p.detach().clone() for p in network.parameters()]
        logits = network(x)
        loss = (logits.logsumexp(dim=1) - logits[range(len(y)), y]).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        actual = training.step(network, optimizer, x, y)
        torch.testing.assert_close(actual, loss.detach())
        assert not actual.requires_grad
        for i, parameter in enumerate(network.parameters()):
            velocity[i] = 0.9 * velocity[i] + gradients[i] + 0.01 * weights[i]
            torch.testing.assert_close(parameter.detach(), weights[i] - 0.1 * velocity[i])


@pytest.mark.parametrize("copies", [1, 30], ids=["one chunk", "several chunks"])
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
def test_an_evaluation_counts_wrong_answers_and_leaves_the_mode(tiny, images, generator, mode, copies):
    network = networks.build(tiny, generator)
    for _ in training.Trainer(network, images, PLAIN, generator):  # so that some answers are right
        pass
    network.train(mode)
    part = data.Images(images.test.pixels.repeat(copies, 1, 1, 1), images.test.labels.repeat(copies))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    actual = evaluation.evaluate(network, images, part)
    assert network.training == mode
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())

    network.eval()
    wrong, loss = 0, 0.0
    for pixels, label in zip(images.test.pixels, images.test.labels.tolist(), strict=True):
        logits = network(images.normalise(pixels[None]))[0].tolist()
        wrong += logits.index(max(logits)) != label
        loss += math.log(sum(map(math.exp, logits))) - logits[label]
    assert actual.error == pytest.approx(100 * wrong / 12)
    assert actual.loss == pytest.approx(loss / 12, rel=1e-4)


def test_a_network_can_be_trained_after_it_was_evaluated(tiny, images, generator):
    network = networks.build(tiny, generator)
    evaluation.evaluate(network, images, images.validation)  # caches statistics, where gradients are off
    assert len(list(training.Trainer(network, images, PLAIN, generator))) == 2


def test_the_loss_falls_on_clutter_in_a_few_steps(generator):
    network = networks.build(architecture.named("wrn-10-1", image=(1, 16, 16), classes=10), generator)
    whole = data.load("clutter", images=512)
    small = replace(whole, validation=whole.validation.first(256))
    recipe = TrainingRecipe(epochs=4, batch_size=32, schedule="one-cycle", precision="float32")
    epochs = list(training.Trainer(network, small, recipe, generator))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert [epoch.images for epoch in epochs] == [512, 1024, 1536, 2048]
    assert epochs[-1].loss < epochs[0].loss - 0.1
    assert epochs[-1].loss < math.log(10)
    stale = evaluation.evaluate(network, small, small.validation)
    with evaluation.estimated_norms(network, small, 512):
        actual = evaluation.evaluate(network, small, small.validation)
    assert epochs[-1].val_error == actual.error
    assert actual.loss != stale.loss
    assert epochs[-1].val_error < 85  # ten classes: 90 by chance


def test_the_last_images_of_an_epoch_are_left_out_and_not_counted(tiny, images, generator):
    epochs = list(training.Trainer(networks.build(tiny), images, replace(PLAIN, batch_size=30), generator))
    assert [epoch.images for epoch in epochs] == [30, 60]


def test_a_loss_that_is_not_finite_ends_the_training(tiny, images, generator):
    network = networks.build(tiny, generator)
    with pytest.raises(FloatingPointError, match=r"epoch \d.*learning rate"):
        list(training.Trainer(network, images, replace(PLAIN, lr=1e30), generator))


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_only_finite_losses_pass(loss):
    assert training.check_finite(0.5, "here") == 0.5
    with pytest.raises(FloatingPointError, match="here"):
        training.check_finite(loss, "here")


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_the_same_seed_gives_the_same_bits(tiny, images, wanted):
    ends = []
    for seed in (7, 7, 8):
        draw = torch.Generator().manual_seed(seed)
        network = networks.build(tiny, draw)
        epochs = list(training.Trainer(network, images, replace(PLAIN, precision=wanted), draw))
        ends.append((network.state_dict(), [epoch.loss for epoch in epochs]))
    assert ends[0][1] == ends[1][1] != ends[2][1]
    assert all(torch.equal(tensor, ends[1][0][name]) for name, tensor in ends[0][0].items())
    assert ends[0][0]["stem.weight"].dtype == torch.float32


def test_a_fit_is_its_steps_in_order(tiny, images):
    """The loop written out: the same stream, the same rates, the same network."""
    actual = networks.build(tiny, torch.Generator().manual_seed(1))
    list(training.Trainer(actual, images, PLAIN, torch.Generator().manual_seed(2)))
    network = (
        networks.build(tiny, torch.Generator().manual_seed(1)).to(memory_format=torch.channels_last).train()
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    batches = Batches(images, 10, torch.Generator().manual_seed(2))
    for rate in (0.1, 0.1, 0.02, 0.02, 0.02, 0.004, 0.0008, 0.0008):  # at 1/16, 3/16, ...: 0.3, 0.6, 0.8 pass
        optimizer.param_groups[0]["lr"] = rate
        x, y = next(batches)
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
    torch.testing.assert_close(dict(actual.state_dict()), dict(network.state_dict()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"schedule": "step"},
            r"schedule 'step'.*steps, tenths, cosine, one-cycle, constant.*did you mean 'steps'",
        ),
        ({"precision": "float16"}, r"unknown precision 'float16': choose from float32, bfloat16"),
        ({"precision": "auto"}, "unknown precision 'auto'"),  # a key stands for one
        ({"norms": "estimate"}, "unknown norms 'estimate'.*did you mean 'estimated'"),
        ({"norm_images": 1}, "norm_images must be 2 or more, not 1"),
        ({"epochs": -1}, "epochs must be 0 or more, not -1"),
        ({"lr": 0.0}, r"lr must be positive, not 0\.0"),
        ({"lr": math.nan}, "lr must be positive, not nan"),
        ({"batch_size": 0}, "batch_size must be positive, not 0"),
    ],
)
def test_a_bad_recipe_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        replace(PLAIN, **change)


def test_of_no_epochs_nothing_is_trained(tiny, images, generator):
    """What is measured as it is has a recipe, which `finetuning_run` takes and `training_run` refuses."""
    assert str(replace(PLAIN, epochs=0)) == "as it is"
    assert list(training.Trainer(networks.build(tiny), images, replace(PLAIN, epochs=0), generator)) == []


def test_a_recipe_goes_through_plain_data_unchanged():
    assert TrainingRecipe(**PLAIN.to_json()) == PLAIN


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_optimizers_are_torchs_and_do_not_import_its_compiler(kind):
    """The weights, momentum and all, are those of torch's own class, which takes seconds to import it."""
    code = f"""
import sys, torch
from horticulture.training import TrainingRecipe, trainer
recipe = TrainingRecipe(1, 0.1, optimizer="{kind}")
weights = []
for own in (True, False):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(3, 2), torch.randn(5, 3)
    optimizer = trainer.make_optimizer(layer, recipe)
    if not own:
        assert "torch._dynamo" not in sys.modules
        same = dict(lr=0.1, weight_decay=recipe.weight_decay, foreach=True)
        same |= dict(momentum=0.9) if "{kind}" == "sgd" else dict(betas=(0.9, 0.999))
        optimizer = type(optimizer).__base__(layer.parameters(), **same)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    weights.append(layer.weight.detach())
assert type(optimizer).__module__.startswith("torch.optim") and "torch._dynamo" in sys.modules
assert torch.equal(*weights)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
