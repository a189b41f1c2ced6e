"""ImageBind's training as a measure of image encoders (Girdhar et al. 2023, section 5): bind other senses to them."""
