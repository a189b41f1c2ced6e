"""What benchmarks/faults.py does to a running graph: faults of topics, of the machine, and of devices."""
