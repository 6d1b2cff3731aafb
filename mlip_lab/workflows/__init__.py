"""Several capabilities in one run: training from files, the demo."""
