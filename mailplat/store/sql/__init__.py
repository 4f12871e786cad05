"""The store in a database: everything in one place, bodies too."""
