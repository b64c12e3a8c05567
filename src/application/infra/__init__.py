"""The Batch road's set-up: read the files, check them, compare them with what is there, register them."""
