from .arrays import downscale as downscale
from .catalog import Outline as Outline, outline as outline
from .datasets import DATASETS as DATASETS, is_own as is_own, load as load
from .downloads import download as download
from .images import Batches as Batches, Dataset as Dataset, Images as Images, crop as crop
from .locations import data_folder as data_folder
from .own import dataset as dataset
from .saved import load_saved as load_saved, save as save, saved_path as saved_path
