"""Amazon SQS: the consumer, and apart from it the publisher and the inspector."""
