"""What a study remembers: its trials in an Optuna storage, who runs them, and what may change in a study."""
