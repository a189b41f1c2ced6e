"""The main job on bundled scenes: what is played, the processes of the graph, the verdict and the pictures."""
