from .criteria import criterion as criterion
from .pruner import Pruner as Pruner
from .pruner import PruningRound as PruningRound
from .recipe import PruningRecipe as PruningRecipe
from .recipe import check_feasible as check_feasible
from .selection import ScoredChannel as ScoredChannel
from .selection import lowest_channel as lowest_channel
