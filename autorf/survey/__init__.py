"""What a folder of pictures and masks holds, and the study file to begin with."""
