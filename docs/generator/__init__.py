"""What the pages hold that code knows better than a writer: the floors, the study file's keys, the commands."""
