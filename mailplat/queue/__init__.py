"""What to deliver next: schedule, destinations, runner, bounces."""
