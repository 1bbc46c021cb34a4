"""Metaflow cards: their parts, and one module for each card. No room below imports this one."""
