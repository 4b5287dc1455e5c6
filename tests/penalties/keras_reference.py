"""Compute Keras's activity regularisation on its torch backend; a process of its own, told by JSON, tells by JSON."""

import json
import sys

import keras
import numpy as np


def regulariser(name, strengths):
    return {"L1": keras.regularizers.L1, "L2": keras.regularizers.L2, "L1L2": keras.regularizers.L1L2}[name](*strengths)


def penalty_and_gradients(case):
    """Two dense layers with one regulariser each, so that the sum over layers is compared too."""
    layers = [
        keras.layers.Dense(len(weight[0]), activation="relu", activity_regularizer=regulariser(*case["regulariser"]))
        for weight, _ in case["layers"]
    ]
    activation = keras.ops.convert_to_tensor(np.array(case["inputs"]))
    for layer, (weight, bias) in zip(layers, case["layers"], strict=True):
        layer.build(activation.shape)
        layer.set_weights([np.array(weight), np.array(bias)])
        activation = layer(activation)
    penalty = sum(loss for layer in layers for loss in layer.losses)
    penalty.backward()
    return {
        "penalty": penalty.item(),
        "gradients": [[layer.kernel.value.grad.tolist(), layer.bias.value.grad.tolist()] for layer in layers],
    }


keras.backend.set_floatx("float64")
json.dump([penalty_and_gradients(case) for case in json.load(sys.stdin)], sys.stdout)
