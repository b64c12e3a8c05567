"""Objects and working folders on a file system."""
