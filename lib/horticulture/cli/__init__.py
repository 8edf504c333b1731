"""The `horticulture` command, thin over the rest."""

from horticulture.cli.commands import STOPPED, main

__all__ = ["STOPPED", "main"]
