"""The milter protocol, version 6, from the mail server's side: pure."""
