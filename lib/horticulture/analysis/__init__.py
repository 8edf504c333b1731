"""Tables, statistics, figures and the explorer, from a study's results. Needs no torch."""
