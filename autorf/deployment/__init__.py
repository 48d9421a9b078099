"""From a finished study to a model that others use."""
