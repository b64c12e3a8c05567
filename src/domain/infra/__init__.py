"""What the files of the Batch road must say, and how they differ from what is there. Pure: JSON in, findings out."""
