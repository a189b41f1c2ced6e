"""Live view in a browser: what the robot senses and finds, shown by Rerun's web viewer. Imports no ROS."""
