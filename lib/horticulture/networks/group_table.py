"""A readable table of what can be pruned in a network, and why the rest cannot."""

from horticulture import networks
from horticulture.architecture import Architecture, ImageShape, is_traced
from horticulture.networks import own


def list_groups(network: str, image: ImageShape, classes: int, residual_sets: bool = False) -> str:
    """A line per group: its width, and the parameters that go when it is cut to its minimum width.

    A width counts channels, or a transformer's attention heads or hidden units. The last lines have, by
    reason, the layers whose channels cannot be removed. network: a name for `networks.named`.
    """
    pinned: dict[str, str] = {}
    remarks: list[str] = []
    if is_traced(network):
        traced = own.trace_named(network, image=image, classes=classes, residual_sets=residual_sets)
        whole, pinned = traced.architecture, traced.pinned
        if traced.frozen:
            remarks.append(f"frozen by the network's code, and not trained: {', '.join(traced.frozen)}")
        if traced.uncounted:
            remarks.append(f"not counted: the MACs of {', '.join(traced.uncounted)}")
    else:
        whole = networks.named(network, image=image, classes=classes)
    size = max(len("group"), *(len(name) for name in whole.groups))
    lines = [f"{'group':<{size}} {'width':>9} {'removable':>12}"]
    for number, (name, width) in enumerate(zip(whole.groups, whole.widths, strict=True)):
        lines.append(f"{name:<{size}} {width:>9,} {_parameters(whole, number):>12,}")
    count = f"{len(whole.groups)} group{'s' if whole.groups[1:] else ''}, total width {sum(whole.widths):,}"
    lines.append(f"{count}; {whole.params:,} parameters, {whole.macs:,} MACs")
    left = whole.with_widths(whole.min_widths).params
    percent = 100 * left / whole.params
    share = f"{percent:.0f} %" if percent >= 1 else "less than 1 %"
    lines.append(f"at their minimum widths {left:,} parameters are left, {share}")
    for why in dict.fromkeys(pinned.values()):
        # `layer:2` is the second set of a layer's channels: its layer is named once.
        layers = dict.fromkeys(name.partition(":")[0] for name, reason in pinned.items() if reason == why)
        lines.append(f"cannot be pruned, {why}: {', '.join(layers)}")
    return "\n".join([*lines, *remarks])


def _parameters(whole: Architecture, group: int) -> int:
    """The parameters removed when a group is cut to its minimum width."""
    least = [*whole.widths]
    least[group] = whole.min_widths[group]
    return whole.params - whole.with_widths(tuple(least)).params
