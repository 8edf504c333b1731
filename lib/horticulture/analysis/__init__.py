"""From frames alone: tables, statistics, figures, widgets. No torch here."""
