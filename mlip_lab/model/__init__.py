"""The potential as a torch model: readouts, training, ensembles, safe files."""
