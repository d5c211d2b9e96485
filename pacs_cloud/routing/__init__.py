"""What is sent where: to which destinations, and how far it has come."""
