"""Compatibility: skops files of earlier releases refer to their models' steps in this module."""

from churn.training.pipeline import *  # noqa: F403
