"""Entry points for AWS Lambda, one module each."""
