"""Lets timm and transformers import torchvision where its compiled part does not fit the torch that is installed.

torchvision's Python checks at import that two of its kernels exist; the models here use neither.
"""

import importlib
import sys

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def import_torchvision() -> None:
    """Import torchvision if it is there, with its two kernels declared by hand if they do not load."""
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for kernel in ("nms", "qnms"):
            torch.library.define(f"torchvision::{kernel}", SCHEMA)
        importlib.import_module("torchvision")


import_torchvision()
