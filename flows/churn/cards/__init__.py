"""What people read: the parts that cards are made of, and one module for each card. Nothing below imports it."""
