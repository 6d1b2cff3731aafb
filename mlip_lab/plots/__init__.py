"""Results as matplotlib figures, one file a capability."""
