"""Real servers for the tests, started by them on loopback and ended with them. `make` installs their packages in
.venv/services: an environment of its own, because the SQS emulator pins the AWS libraries that we don't."""
