"""The tests. The library comes first: how OpenMP waits is set before torch is loaded, or not at all."""

import horticulture
