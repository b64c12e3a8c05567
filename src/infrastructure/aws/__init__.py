"""What the adapters of AWS's services share."""
