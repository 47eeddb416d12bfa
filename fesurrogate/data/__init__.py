"""Data for learned Materials: which strains to sample, the farm that answers them, the file."""
