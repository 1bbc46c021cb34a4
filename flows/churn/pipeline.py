"""Compatibility: skops files of earlier releases name the steps of their models in this module."""

from churn.training.pipeline import *  # noqa: F403
