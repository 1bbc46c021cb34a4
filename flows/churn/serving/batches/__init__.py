"""Batches of customers as the service reads them, by row and by column (``columns``)."""
