"""Speed, side by side with references, in one process. Not part of the package."""
