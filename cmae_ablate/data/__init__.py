"""Prepared arrays, and the pixels in them."""
