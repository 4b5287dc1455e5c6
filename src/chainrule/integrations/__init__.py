"""chainrule for the training objects of other libraries, without importing these libraries."""

from chainrule.integrations.hugging_face import find_hugging_face_lr
from chainrule.integrations.lightning import find_lightning_lr

__all__ = ["find_hugging_face_lr", "find_lightning_lr"]
