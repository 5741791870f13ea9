"""What stands under everything that workers and machines share: a file, a Redis, and patience."""
