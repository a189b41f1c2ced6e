"""From samples to model inputs, one module a modality: what the towers of `imagebind_huge` were trained on."""
