"""What can be done with pretrained weights outside a study: evaluate, draw, export."""
