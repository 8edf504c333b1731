"""A study: its parameters become runs, and the notebooks run through papermill."""
