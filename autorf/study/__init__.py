"""What is asked: the study file, search spaces, trials and the jobs they become."""
