"""Activation regularisation for any module."""
