"""Pure planning: which packages go into which layer, which folders a layer repeats, what a plan shows."""
