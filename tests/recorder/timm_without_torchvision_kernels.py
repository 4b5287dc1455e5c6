"""Lets timm import torchvision where torchvision's compiled part does not fit the torch that is installed.

torchvision's Python checks at import that two of its kernels exist; timm's models use neither.
"""

import torch

for name, schema in (
    ("nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"),
    ("qnms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"),
):
    try:
        torch.library.define(f"torchvision::{name}", schema)
    except RuntimeError:  # the compiled part is there, and has defined it
        break
