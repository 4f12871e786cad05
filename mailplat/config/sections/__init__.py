"""The tables of the configuration, a file a subject: attrs classes whose fields are options."""
