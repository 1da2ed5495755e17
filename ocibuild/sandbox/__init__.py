"""Running a step in a root file system without privileges: the rungs of the ladder, and what a step changed."""
