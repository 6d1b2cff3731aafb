"""What every panel is made of: fields from a signature, an observable model, one worker, a passive view."""
