"""Real devices and recordings behind one protocol; no torch and no rclpy in here."""
