"""From frames alone: tables, statistics, figures, the explorer. No torch here."""
