"""The SQL store: messages, bodies and the change log in one database."""
