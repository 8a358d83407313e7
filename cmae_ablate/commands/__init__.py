"""The commands as typer sees them. What they do is elsewhere, imported when a command is called."""
