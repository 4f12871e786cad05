"""Stores of large bodies beside a database: in memory, in files, in an S3 service."""
