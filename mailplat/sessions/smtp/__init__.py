"""The policy of SMTP, submission and LMTP: options, the session, messages on their way in."""
