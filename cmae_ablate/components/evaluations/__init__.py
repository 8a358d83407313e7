"""Registered components; see `slots` for what each must do."""
