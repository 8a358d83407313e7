"""One pretraining: the model, its loop, its views, its cost."""
