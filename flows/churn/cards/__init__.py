"""Metaflow cards: the parts they are made of, and one module for each card. No room below imports this one."""
