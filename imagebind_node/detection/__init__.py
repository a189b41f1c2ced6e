"""Detection: boxes whose classes are embeddings of any modality."""
