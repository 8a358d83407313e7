"""Starting workers. Launchers know nothing of cells: which one runs, and runs again, the queue decides."""
