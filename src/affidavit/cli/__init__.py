"""The command line: thin shells over the workspace. Importing this package loads nothing else."""
