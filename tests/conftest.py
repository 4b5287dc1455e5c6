"""What every test starts from: one thread, so that workers share the cores and numbers do not depend on how many."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
