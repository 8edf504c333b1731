from .criteria import criterion as criterion
from .pruner import Pruner as Pruner, PruningRound as PruningRound
from .ranking import ScoredChannel as ScoredChannel, lowest_channel as lowest_channel
from .recipe import PruningRecipe as PruningRecipe, check_feasible as check_feasible
