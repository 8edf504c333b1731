"""A picture that is redrawn whenever one of its controls changes; without a kernel it shows the first."""

import html
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure

from horticulture.analysis.figures import alt_text
from horticulture.errors import InputError

STILL = "image/png"
# ipywidgets' menus have a black arrow, which cannot be seen in JupyterLab's dark theme.
ARROW = (
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E"
    "%3Cpath fill='%23ddd' d='M5 6.5l4 4 4-4 1 1-5 5-5-5z'/%3E%3C/svg%3E"
)
STYLE = (
    '<style>[data-jp-theme-light="false"] .widget-dropdown '
    f'{{--jp-widgets-dropdown-arrow: url("data:image/svg+xml,{ARROW}")}}</style>'
)


class Panel(ipywidgets.VBox):
    """Controls and the picture for their values.

    Without a kernel (in an executed notebook or on its web page) it shows the picture for the first values.
    """

    def __init__(self, draw: Callable[..., Figure], controls: dict[str, Any]) -> None:
        self.draw, self.controls = draw, controls
        self.picture = ipywidgets.HTML()
        self.still, self.alt = "", ""
        super().__init__([ipywidgets.HBox(list(controls.values())), self.picture])
        self.update()
        for control in controls.values():
            control.observe(lambda _: self.update(), names="value")

    def update(self) -> None:
        """Draw the picture for the current values."""
        figure = self.draw(**{name: control.value for name, control in self.controls.items()})
        png, alt = print_figure(figure, base64=True), alt_text.describe(figure)
        plt.close(figure)
        if not self.still:
            self.still, self.alt = png, alt
        self.picture.value = (
            f'{STYLE}<img style="max-width:100%" alt="{html.escape(alt)}" src="data:{STILL};base64,{png}">'
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The live widget, and a still picture for viewers without a kernel."""
        bundle = super()._repr_mimebundle_(**kwargs)
        return {**(bundle or {}), STILL: self.still}, {STILL: {"alt": self.alt}}


def panel(draw: Callable[..., Figure], **choices: Sequence[Any]) -> Panel:
    """A picture with a menu for each of `choices`.

    draw: takes the chosen values by name and returns a new figure. choices: the options by name, values or
    pairs of a label and a value; the first of each is shown first. Raises InputError if one has no options.
    """
    for name, options in choices.items():
        if not len(options):
            raise InputError(f"{name} has nothing to choose from")
    return Panel(draw, {name: _control(name, options) for name, options in choices.items()})


def _control(name: str, options: Sequence[Any]) -> ipywidgets.Dropdown:
    """A menu, in which numbers go upwards.

    ipywidgets' sliders have no name and tell a screen reader the number of the option, not the option.
    """
    pairs = [option if isinstance(option, tuple) else (str(option), option) for option in options]
    first = pairs[0][1]
    if not isinstance(first, str):
        pairs.sort(key=lambda pair: pair[1])
    return ipywidgets.Dropdown(
        options=pairs, value=first, description=name.replace("_", " "), style={"description_width": "initial"}
    )
