"""One trial: build, adapt, train, measure, and keep the evidence."""
