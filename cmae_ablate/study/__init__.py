"""The question, as a value: study files, trials, designs, search spaces."""
