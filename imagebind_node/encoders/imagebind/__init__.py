"""ImageBind (Girdhar et al. 2023): six transformer towers with one embedding space."""
