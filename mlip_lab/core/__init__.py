"""Units, annotated quantities, errors, input checks and the progress protocol."""
