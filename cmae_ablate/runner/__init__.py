"""Who trains which cell, where; and what is made of the results."""
