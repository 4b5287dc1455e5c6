"""Data sets: read, split, scaled."""

from chainrule.data.array_files import save_arrays
from chainrule.data.dataset import ColumnInfo, Dataset, Kind, Part
from chainrule.data.loading import load_data
from chainrule.data.sample_order import read_order
from chainrule.data.scaling import Scaling

__all__ = ["ColumnInfo", "Dataset", "Kind", "Part", "Scaling", "load_data", "read_order", "save_arrays"]
