"""Objects in a bucket of S3, R2 or anything that speaks their language."""
