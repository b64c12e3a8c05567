"""The SSD tier of this machine."""
