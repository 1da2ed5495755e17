"""The nouns of the program: values without effects, which every other room imports."""
