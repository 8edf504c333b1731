"""What every room may use: whole files, locks, this machine's limits, users' code files, progress lines."""
