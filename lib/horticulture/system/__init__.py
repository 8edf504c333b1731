"""What the operating system gives: files, locks, limits, users' code, and a terminal to show progress in."""
