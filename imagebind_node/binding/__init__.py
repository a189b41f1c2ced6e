"""Binding: from a robot's own recordings to a new sense in a frozen image-text space (Girdhar et al. 2023)."""
