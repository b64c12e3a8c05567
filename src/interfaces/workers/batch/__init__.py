"""The container of AWS Batch: one job, then the end."""
