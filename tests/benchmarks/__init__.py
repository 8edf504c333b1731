"""How fast the engine is: `make bench`. Ratios are measured side by side in one process."""
