"""Who somebody is: people, programs and providers that vouch for them, kept as objects."""
