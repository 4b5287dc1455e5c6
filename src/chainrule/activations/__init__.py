"""The catalogue of activation functions: formula, derivative, and the facts that follow from them."""
