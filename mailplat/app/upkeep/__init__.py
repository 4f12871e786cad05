"""Looking after the mail that is kept: verifying, mending, carrying it in and out."""
