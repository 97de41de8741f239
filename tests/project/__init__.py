"""What holds for the project as a whole: packaging, the lock, names, bin/."""
