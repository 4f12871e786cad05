"""The one place that knows every part: options, objects, services, administration."""
