"""What do other test images change? The standard error that they leave in README's second figure.

    python -m tests.image_sampling OUTPUTS

OUTPUTS holds the runs of outputs/reference/measured/replication.csv, whose errors are known image by image.
Writes outputs/reference/measured/image_sampling.csv: for new weights minus the rewound ones, at one size and
by the mean of the three, the difference of the means over seeds, and its standard error, clustered by digit.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from horticulture import runs
from horticulture.analysis import statistics
from tests import claims

COLUMNS = ["curve", "against", "size", "seeds", "difference", "standard_error", "digits"]
TABLE = claims.REFERENCE / "measured" / "image_sampling.csv"


def wrong_share(curve: str, sizes: tuple[int, ...], outputs: Path) -> tuple[np.ndarray, np.ndarray, int]:
    """For each test image: the share of networks (sizes and seeds) that got it wrong, and its digit.

    Also returns the number of seeds.
    """
    keys = [key for size in sizes for key in claims.by_seed("run", curve, size / 100, study=claims.AGAIN)]
    answers = [runs.image_errors(key, outputs) for key in keys]
    assert all(np.array_equal(one.original, answers[0].original) for one in answers)
    share = np.mean([one.wrong for one in answers], axis=0)
    return share, answers[0].original, len(keys) // len(sizes)


def measure(outputs: Path) -> pd.DataFrame:
    """A row for each budget of new weights and size, and for the mean of the sizes."""
    rows = []
    for curve in claims.NEW_BUDGETS:
        for sizes in (*((size,) for size in claims.SIZES), claims.SIZES):
            new, original, seeds = wrong_share(curve, tuple(sizes), outputs)
            kept, _, _ = wrong_share("lr-rewound", tuple(sizes), outputs)
            found = statistics.clustered_difference(new, kept, original)
            name = str(sizes[0]) if len(sizes) == 1 else "mean"
            rows.append((curve, "lr-rewound", name, seeds, *np.round(found, 3), len(np.unique(original))))
    return pd.DataFrame(rows, columns=COLUMNS)


if __name__ == "__main__":
    measured = measure(Path(sys.argv[1]))
    measured.to_csv(TABLE, index=False)
    print(measured.to_string(index=False))
