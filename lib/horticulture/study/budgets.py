"""How long a smaller network may train: the arithmetic of a fair comparison (Liu et al., 2019).

Compute is measured in multiply-accumulates of forward passes, as everywhere here; backward passes cost
about twice as much again in every network, so that ratios stay what they are.
"""

from horticulture.errors import InputError


def scratch_b(
    epochs: int, whole_macs: int, pruned_macs: int, *, cap: float = 2.0, tuning_epochs: int = 0
) -> int:
    """Epochs of Scratch-B: as many as the compute of the whole network's training buys the pruned shape.

    `int(epochs * ratio)` with ratio = whole_macs / pruned_macs, at most `cap` (0: no cap). The published
    code caps it at 2 on ImageNet, and for the CIFAR sets not at all. The definition leaves fine-tuning out;
    `tuning_epochs` (K2, trained by the pruned network) adds it, as Wang et al. (2023) ask for: all that
    the pipeline costs is K1 F1 + K2 F2, which buys K1 F1 / F2 + K2 epochs.

    epochs: of the whole network (K1); *_macs: of one image, forward (F1, F2). Raises InputError if a count
    is not positive.
    """
    if min(epochs, whole_macs, pruned_macs) < 1 or cap < 0 or tuning_epochs < 0:
        raise InputError(
            f"a budget needs epochs and MACs of 1 or more, a cap and tuning epochs of 0 or more, not "
            f"epochs={epochs}, whole_macs={whole_macs}, pruned_macs={pruned_macs}, cap={cap}, "
            f"tuning_epochs={tuning_epochs}"
        )
    bought = epochs * whole_macs // pruned_macs  # in whole numbers: 100 * 1.15 is 114.99999999999999
    if cap:
        bought = min(bought, int(epochs * cap + 1e-9))
    return bought + tuning_epochs
