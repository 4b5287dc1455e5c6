"""chainrule makes backpropagation in PyTorch visible, checkable and steerable."""

__version__ = "0.1.0"
