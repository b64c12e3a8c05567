"""What puts right what nobody else will: one use case per file, each with its states in owners.py."""
