"""This product as one of the peers of a queue benchmark; see p_mediaworker.py."""
