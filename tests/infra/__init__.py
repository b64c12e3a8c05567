"""The files of the Batch road: their rules, their registering, and what their policies permit."""
