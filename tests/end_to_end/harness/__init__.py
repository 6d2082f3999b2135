"""What the end-to-end tests are made of: servers, the connector's process, independent readers and checkers."""
